// SPDX-License-Identifier: BSD-3-Clause
/// A threading policy: every thread that calls the pool gets a cache by itself, and gives it up when it ends.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/here.hpp"
#include "turbomem/owner_table.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/threading.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>

namespace turbomem {

namespace detail {

/// The exchanges that one shared object made, for what has to happen to them in a child of fork.
class exchanges_here {
  public:
    struct member {
        member *next = nullptr, *previous = nullptr;
        void (*forked)(member &) noexcept = nullptr;
        exchanges_here *list = nullptr; ///< that of the shared object that made it, whoever ends it
    };

    exchanges_here() {
        // The C library drops these when it unloads the shared object. Without memory for them a child of
        // fork finds the slots of its dead threads in use.
        ::pthread_atfork([] { here<exchanges_here>().lock_.lock(); },
                         [] { here<exchanges_here>().lock_.unlock(); },
                         [] { here<exchanges_here>().forked(); });
    }
    bool idle() const noexcept { return first_ == nullptr; }

    void add(member &m) noexcept {
        const std::lock_guard guard(lock_);
        m.list = this;
        m.next = first_;
        if (first_ != nullptr) first_->previous = &m;
        first_ = &m;
    }
    void remove(member &m) noexcept {
        const std::lock_guard guard(lock_);
        (m.previous == nullptr ? first_ : m.previous->next) = m.next;
        if (m.next != nullptr) m.next->previous = m.previous;
    }

  private:
    void forked() noexcept {
        for (member *m = first_; m != nullptr; m = m->next) m->forked(*m);
        lock_.unlock();
    }

    std::mutex lock_; ///< held while an exchange is made or ends, and over a fork
    member *first_ = nullptr;
};

/// Pools that ended by calls from this shared object, modulo 2^32.
inline constinit std::atomic<std::uint32_t> closings{0};

/// An exchange that outlives its pool until the last thread that entered it lets go of it. So a thread may
/// end while a pool ends, in any order, and neither waits. Counts by itself: the shared object that made it
/// may be gone when the last thread ends, and a std::shared_ptr would call its code.
template <class Exchange> class shared_exchange : private exchanges_here::member {
  public:
    template <class... Args>
    explicit shared_exchange(Args &&...args)
        : exchange(std::forward<Args>(args)...), owners(exchange.options().max_threads) {
        forked = [](member &m) noexcept {
            static_cast<shared_exchange &>(m).owners.forget_others(this_thread());
        };
        here<exchanges_here>().add(*this);
    }

    Exchange exchange;
    owner_table owners;
    std::atomic<bool> closed{false}; ///< the pool is gone: nothing needs to be handed back

    void keep() noexcept { users_.fetch_add(1, std::memory_order_relaxed); } // relaxed: it has one already
    void let_go() noexcept {
        // release: what this thread did here is over. acquire: before the last one frees it.
        if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
    /// The pool is gone. For the thread that destroys it.
    void close() noexcept {
        list->remove(*this);
        closed.store(true, std::memory_order_relaxed);    // relaxed: see thread_caches
        closings.fetch_add(1, std::memory_order_relaxed); // relaxed: a hint to look at `closed`
        let_go();
    }

    /// The calling thread takes a slot; null: all are in use.
    cache_of<Exchange> *enter() noexcept {
        owners.bury([&](void *c) { exchange.leave(*static_cast<cache_of<Exchange> *>(c)); });
        try {
            return &exchange.enter();
        } catch (const std::exception &) { // invalid_slot, or no memory for its message
            return nullptr;
        }
    }
    /// The calling thread gives up the slot that owners.remove() named; null: none.
    void leave(void *cache) noexcept {
        if (cache != nullptr) exchange.leave(*static_cast<cache_of<Exchange> *>(cache));
    }

  private:
    ~shared_exchange() = default;

    std::atomic<std::uint32_t> users_{1};
};

/// What the calling thread has to give up when it ends: the caches that it entered by calls from this shared
/// object, whose code stays mapped until then. Found by the exchange's address, which stays taken for as long
/// as it is on record here.
class thread_caches {
  public:
    /// The calling thread's; null when it is ending.
    static thread_caches *mine() noexcept {
        if (ended) return nullptr;
        thread_local thread_caches caches;
        return &caches;
    }
    thread_caches() = default;
    thread_caches(const thread_caches &) = delete;
    thread_caches &operator=(const thread_caches &) = delete;
    ~thread_caches() {
        ended = true;
        for (auto &[exchange, r] : records_) r.end(exchange, r.index);
    }

    /// The thread's cache, entered if need be; null when all slots are in use or there is no memory for a
    /// record. A thread that got none asks again only now and then: looking through all slots on every call
    /// would cost it and others.
    template <class Exchange> cache_of<Exchange> *find(shared_exchange<Exchange> &in) noexcept {
        constexpr std::uint32_t patience = 64; // calls
        record *r = nullptr;
        if (const auto found = records_.find(&in); found != records_.end()) {
            r = &found->second;
        } else {
            try {
                if (const std::uint32_t now = closings.load(std::memory_order_relaxed); now != seen_) {
                    seen_ = now; // relaxed: a hint
                    forget_closed();
                }
                r = &records_.try_emplace(&in, record{&in.closed, &end<Exchange>}).first->second;
            } catch (const std::bad_alloc &) {
                return nullptr;
            }
            in.keep();
        }
        if (void *const c = in.owners.find_at(r->index, this_thread()))
            return static_cast<cache_of<Exchange> *>(c);
        if (r->calls++ % patience != 0) return nullptr;
        cache_of<Exchange> *const c = in.enter();
        if (c == nullptr) return nullptr;
        r->calls = 0;
        r->index = in.owners.insert(this_thread(), c); // there is room for each slot
        return c;
    }

    /// Give up the thread's cache of that exchange.
    template <class Exchange> void drop(shared_exchange<Exchange> &in) noexcept {
        const auto found = records_.find(&in);
        if (found == records_.end()) return in.leave(in.owners.remove(this_thread(), owner_table::nowhere));
        end<Exchange>(&in, found->second.index);
        records_.erase(found);
    }

  private:
    struct record {
        const std::atomic<bool> *closed;
        void (*end)(void *exchange, std::uint32_t index) noexcept;
        std::uint32_t index = owner_table::nowhere; ///< the thread's entry among the owners
        std::uint32_t calls = 0;                    ///< without a cache
    };

    /// What another shared object's calls have removed already is not there.
    template <class Exchange> static void end(void *exchange, std::uint32_t index) noexcept {
        auto &in = *static_cast<shared_exchange<Exchange> *>(exchange);
        // relaxed: leaving an exchange that nobody looks at any more is harmless.
        if (!in.closed.load(std::memory_order_relaxed)) in.leave(in.owners.remove(this_thread(), index));
        in.let_go();
    }

    /// What this thread keeps of pools that are gone.
    void forget_closed() noexcept {
        std::erase_if(records_, [](auto &each) {
            auto &[exchange, r] = each;
            // relaxed: nothing is concluded from it but that the record is of no use.
            if (!r.closed->load(std::memory_order_relaxed)) return false;
            r.end(exchange, r.index);
            return true;
        });
    }

    inline static constinit thread_local bool ended = false;

    std::unordered_map<void *, record> records_;
    std::uint32_t seen_ = 0; ///< of closings
};

} // namespace detail

namespace threads {

/// No handle: a call finds the calling thread's cache in thread-local storage, and a thread that calls for
/// the first time takes a slot. A thread that ends gives its slot up. When all slots are in use, or while a
/// thread ends, its calls are those of a thread without a cache: slower, never refused. Lock-free; the first
/// call of a thread also allocates memory for its table.
///
/// A thread may end while the pool ends and after it; the magazines of a pool that is gone are freed when the
/// last thread that used it ends or first uses another pool.
struct per_thread {
    using family = policy::threading;
    /// Slots of a pool whose options do not say: four a CPU.
    static std::uint32_t default_threads() noexcept { return 4 * detail::cpus(); }

    template <class Exchange> class route {
        using cache = detail::cache_of<Exchange>;
        using shared_exchange = detail::shared_exchange<Exchange>;

      public:
        template <class... Args>
        explicit route(Args &&...args)
            : shared_(new shared_exchange(std::forward<Args>(args)...)), owners_(shared_->owners) {}
        ~route() { shared_->close(); }
        route(const route &) = delete;
        route &operator=(const route &) = delete;

        Exchange &exchange() noexcept { return shared_->exchange; }
        const Exchange &exchange() const noexcept { return shared_->exchange; }

        bool get_bulk(void **objects, std::uint32_t n) noexcept {
            void *c;
            if (owners_.find(detail::this_thread(), c)) [[likely]]
                return static_cast<cache *>(c)->get_bulk(objects, n);
            return get_otherwise(objects, n);
        }
        std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
            cache *const c = find();
            return c != nullptr ? c->get_up_to(objects, n) : exchange().get_up_to(objects, n);
        }
        void put_bulk(void *const *objects, std::uint32_t n) noexcept {
            void *c;
            if (owners_.find(detail::this_thread(), c)) [[likely]]
                return static_cast<cache *>(c)->put_bulk(objects, n);
            put_otherwise(objects, n);
        }
        template <std::uint32_t N> bool get_bulk(void **objects) noexcept { return get_bulk(objects, N); }
        template <std::uint32_t N> void put_bulk(void *const *objects) noexcept { put_bulk(objects, N); }

        /// The calling thread gives its cache up; it gets another when it calls again.
        void detach() noexcept {
            if (auto *const all = detail::thread_caches::mine()) all->drop(*shared_);
        }

      private:
        /// Wherever it is on record; null: the thread has none, and gets none now.
        cache *find() noexcept {
            if (void *const c = shared_->owners.find_nearby(detail::this_thread()))
                return static_cast<cache *>(c);
            auto *const all = detail::thread_caches::mine();
            return all == nullptr ? nullptr : all->find(*shared_);
        }
        [[gnu::noinline]] bool get_otherwise(void **objects, std::uint32_t n) noexcept {
            cache *const c = find();
            return c != nullptr ? c->get_bulk(objects, n) : exchange().get_bulk(objects, n);
        }
        [[gnu::noinline]] void put_otherwise(void *const *objects, std::uint32_t n) noexcept {
            if (cache *const c = find()) return c->put_bulk(objects, n);
            exchange().put_bulk(objects, n);
        }

        shared_exchange *shared_;
        detail::owner_table::first_look owners_;
    };
};

} // namespace threads
} // namespace turbomem
