// SPDX-License-Identifier: BSD-3-Clause
/// An exchange whose threads are known to it, and which knows when they end.
#pragma once

#include "turbomem/exchange/owner_table.hpp"
#include "turbomem/exchange/tables_here.hpp"
#include "turbomem/system/here.hpp"
#include "turbomem/system/threads.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <unordered_map>
#include <utility>

namespace turbomem::detail {

/// Pools that ended by calls from this shared object, modulo 2^32.
inline constinit std::atomic<std::uint32_t> closings{0};

/// An exchange that outlives its pool until the last thread that entered it lets go of it. So a thread may
/// end while a pool ends, in any order, and neither waits. Counts by itself: the shared object that made it
/// may be gone when the last thread ends, and a std::shared_ptr would call its code.
template <class Exchange> class shared_exchange {
  public:
    template <class... Args>
    explicit shared_exchange(Args &&...args)
        : exchange(std::forward<Args>(args)...), owners(exchange.options().max_threads) {}

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
        closed.store(true, std::memory_order_relaxed);    // relaxed: see thread_caches
        closings.fetch_add(1, std::memory_order_relaxed); // relaxed: a hint to look at `closed`
        let_go();
    }

    /// The slots of threads that a fork left behind are free again. Lock-free.
    void bury() noexcept {
        owners.bury([&](void *c) { exchange.leave(*static_cast<typename Exchange::cache_type *>(c)); });
    }
    /// The calling thread takes a slot; null: all are in use.
    typename Exchange::cache_type *enter() noexcept {
        bury();
        return exchange.try_enter();
    }
    /// The calling thread gives up the slot that owners.remove() named; null: none.
    void leave(void *cache) noexcept {
        if (cache != nullptr) exchange.leave(*static_cast<typename Exchange::cache_type *>(cache));
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
        for (auto &[exchange, r] : records_) r.end(exchange, r);
    }

    /// The thread's cache, entered if need be; null when all slots are in use or there is no memory for a
    /// record. A thread that got none asks again only now and then: looking through all slots on every call
    /// would cost it and others.
    template <class Exchange> typename Exchange::cache_type *find(shared_exchange<Exchange> &in) noexcept {
        constexpr std::uint32_t patience = 64; // calls
        record *r = nullptr;
        if (const auto found = records_.find(&in); found != records_.end()) {
            r = &found->second;
        } else {
            r = add(in);
            if (r == nullptr) return nullptr;
        }
        if (void *const c = in.owners.find_at(r->index, this_thread()))
            return static_cast<typename Exchange::cache_type *>(c);
        if (r->calls++ % patience != 0) return nullptr;
        typename Exchange::cache_type *const c = in.enter();
        if (c == nullptr) return nullptr;
        r->calls = 0;
        r->index = in.owners.insert(this_thread(), c); // there is room for each slot
        return c;
    }

    /// Give up the thread's cache of that exchange.
    template <class Exchange> void drop(shared_exchange<Exchange> &in) noexcept {
        const auto found = records_.find(&in);
        if (found == records_.end()) return in.leave(in.owners.remove(this_thread(), owner_table::nowhere));
        end<Exchange>(&in, found->second);
        records_.erase(found);
    }

  private:
    struct record {
        const std::atomic<bool> *closed;
        void (*end)(void *exchange, const record &r) noexcept;
        tables_here::place *place = nullptr;
        std::uint32_t index = owner_table::nowhere; ///< the thread's entry among the owners
        std::uint32_t calls = 0;                    ///< without a cache
    };

    /// A new record, of a thread that has no cache there; null: there is no memory for it.
    template <class Exchange> record *add(shared_exchange<Exchange> &in) noexcept {
        forget_closed();
        in.keep();
        try {
            record &r = records_.try_emplace(&in, record{&in.closed, &end<Exchange>}).first->second;
            r.place = &here<tables_here>().add(in.owners);
            return &r;
        } catch (const std::bad_alloc &) {
            records_.erase(&in);
            in.let_go();
            return nullptr;
        }
    }

    /// What another shared object's calls have removed already is not there.
    template <class Exchange> static void end(void *exchange, const record &r) noexcept {
        auto &in = *static_cast<shared_exchange<Exchange> *>(exchange);
        // relaxed: leaving an exchange that nobody looks at any more is harmless.
        if (!in.closed.load(std::memory_order_relaxed)) in.leave(in.owners.remove(this_thread(), r.index));
        r.place->free();
        in.let_go();
    }

    /// What this thread keeps of pools that are gone: when this shared object closed one, and, since others
    /// may have, when there are twice as many records as the last time left, and one.
    void forget_closed() noexcept {
        const std::uint32_t now = closings.load(std::memory_order_relaxed); // relaxed: a hint
        if (now == seen_ && records_.size() < enough_) return;
        std::erase_if(records_, [](auto &each) {
            auto &[exchange, r] = each;
            // relaxed: nothing is concluded from it but that the record is of no use.
            if (!r.closed->load(std::memory_order_relaxed)) return false;
            r.end(exchange, r);
            return true;
        });
        seen_ = now;
        enough_ = 2 * records_.size() + 1;
    }

    inline static constinit thread_local bool ended = false;

    std::unordered_map<void *, record> records_;
    std::uint32_t seen_ = 0; ///< of closings
    std::size_t enough_ = 1; ///< records to look for closed ones among
};

} // namespace turbomem::detail
