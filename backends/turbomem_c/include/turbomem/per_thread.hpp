// SPDX-License-Identifier: BSD-3-Clause
/// A threading policy: every thread that calls the pool gets a cache by itself, and gives it up when it ends.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/threading.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace turbomem {

namespace detail {

/// The caches a thread used last, one a residue of the pool's serial number. Constant-initialised and without
/// a destructor, so that reading it is one access and stays good until the very end of the thread.
struct recent_cache {
    std::uint64_t pool = 0; ///< serial number; 0: none
    void *cache = nullptr;
};
inline constexpr std::size_t recent_caches = 8;
// initial-exec: without a call also in a shared object. Small enough for the room that the C library keeps
// for objects that are loaded later.
[[gnu::tls_model(
    "initial-exec")]] inline constinit thread_local std::array<recent_cache, recent_caches> recent{};
/// Whether the thread has given up its caches, because it is ending.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local bool ending = false;

/// Serial numbers of pools; never used again.
inline std::uint64_t next_serial() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1; // relaxed: only distinct
}

/// An exchange that outlives its pool until the last thread that entered it lets go of it. So a thread may
/// end while a pool ends, in any order, and neither waits.
template <class Exchange> struct shared_exchange {
    template <class... Args>
    explicit shared_exchange(Args &&...args) : exchange(std::forward<Args>(args)...) {}

    Exchange exchange;
    std::atomic<bool> closed{false}; ///< the pool is gone: nothing needs to be handed back
};

/// Every cache of the calling thread; they leave when the thread ends.
class thread_caches {
  public:
    static thread_caches &mine() {
        thread_local thread_caches caches;
        return caches;
    }
    thread_caches() = default;
    thread_caches(const thread_caches &) = delete;
    thread_caches &operator=(const thread_caches &) = delete;
    ~thread_caches() {
        ending = true;
        recent = {};
        for (entry &e : entries_) e.leave(e);
    }

    /// The thread's cache of that pool, entered if need be; null when all slots are in use or there is no
    /// memory for an entry. A thread that got none asks again only now and then: looking through all slots on
    /// every call would cost it and others.
    template <class Exchange>
    cache_of<Exchange> *find(std::uint64_t serial,
                             const std::shared_ptr<shared_exchange<Exchange>> &in) noexcept {
        constexpr std::uint32_t patience = 64; // calls
        for (entry &e : entries_) {
            if (e.serial != serial) continue;
            if (e.cache == nullptr && ++e.calls % patience == 0) e.cache = enter(in->exchange);
            return static_cast<cache_of<Exchange> *>(e.cache);
        }
        try {
            // What this thread keeps of pools that are gone.
            // relaxed: nothing is concluded from it but that the entry is of no use.
            std::erase_if(entries_, [](const entry &e) { return e.closed->load(std::memory_order_relaxed); });
            entries_.push_back({serial, nullptr, 0, in, &in->closed, &leave<Exchange>});
        } catch (const std::bad_alloc &) {
            return nullptr;
        }
        entries_.back().cache = enter(in->exchange);
        return static_cast<cache_of<Exchange> *>(entries_.back().cache);
    }

    /// Give up the thread's cache of that pool.
    void drop(std::uint64_t serial) noexcept {
        std::erase_if(entries_, [&](entry &e) {
            if (e.serial != serial) return false;
            e.leave(e);
            return true;
        });
    }

  private:
    struct entry {
        std::uint64_t serial;
        void *cache;         ///< null: all slots were in use
        std::uint32_t calls; ///< without a cache
        std::shared_ptr<void> shared;
        const std::atomic<bool> *closed;
        void (*leave)(entry &) noexcept;
    };

    template <class Exchange> static cache_of<Exchange> *enter(Exchange &exchange) noexcept {
        try {
            return &exchange.enter();
        } catch (const invalid_slot &) {
            return nullptr;
        }
    }

    template <class Exchange> static void leave(entry &e) noexcept {
        auto &shared = *static_cast<shared_exchange<Exchange> *>(e.shared.get());
        // relaxed: leaving an exchange that nobody looks at any more is harmless.
        if (e.cache != nullptr && !shared.closed.load(std::memory_order_relaxed))
            shared.exchange.leave(*static_cast<cache_of<Exchange> *>(e.cache));
    }

    std::vector<entry> entries_;
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
      public:
        template <class... Args>
        explicit route(Args &&...args)
            : shared_(std::make_shared<detail::shared_exchange<Exchange>>(std::forward<Args>(args)...)) {}
        // relaxed: see thread_caches.
        ~route() { shared_->closed.store(true, std::memory_order_relaxed); }
        route(const route &) = delete;
        route &operator=(const route &) = delete;

        Exchange &exchange() noexcept { return shared_->exchange; }
        const Exchange &exchange() const noexcept { return shared_->exchange; }

        bool get_bulk(void **objects, std::uint32_t n) noexcept {
            if (cache *const c = find()) [[likely]]
                return c->get_bulk(objects, n);
            return get_as_guest(objects, n);
        }
        std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
            if (cache *const c = find()) [[likely]]
                return c->get_up_to(objects, n);
            return exchange().get_up_to(objects, n);
        }
        void put_bulk(void *const *objects, std::uint32_t n) noexcept {
            if (cache *const c = find()) [[likely]]
                return c->put_bulk(objects, n);
            put_as_guest(objects, n);
        }
        /// The calling thread gives its cache up; it gets another when it calls again.
        void detach() noexcept {
            detail::recent_cache &r = detail::recent[serial_ % detail::recent_caches];
            if (r.pool == serial_) r = {};
            if (!detail::ending) detail::thread_caches::mine().drop(serial_);
        }
        template <std::uint32_t N> bool get_bulk(void **objects) noexcept {
            if (cache *const c = find()) [[likely]]
                return c->template get_bulk<N>(objects);
            return get_as_guest(objects, N);
        }
        template <std::uint32_t N> void put_bulk(void *const *objects) noexcept {
            if (cache *const c = find()) [[likely]]
                return c->template put_bulk<N>(objects);
            put_as_guest(objects, N);
        }

      private:
        using cache = detail::cache_of<Exchange>;

        cache *find() noexcept {
            const detail::recent_cache &r = detail::recent[serial_ % detail::recent_caches];
            if (r.pool == serial_) [[likely]]
                return static_cast<cache *>(r.cache);
            return find_slowly();
        }
        // Apart, so that the frame they need is not set up by calls that have a cache.
        [[gnu::noinline]] bool get_as_guest(void **objects, std::uint32_t n) noexcept {
            return exchange().get_bulk(objects, n);
        }
        [[gnu::noinline]] void put_as_guest(void *const *objects, std::uint32_t n) noexcept {
            exchange().put_bulk(objects, n);
        }
        [[gnu::noinline]] cache *find_slowly() noexcept {
            if (detail::ending) return nullptr;
            cache *const c = detail::thread_caches::mine().find(serial_, shared_);
            if (c != nullptr) detail::recent[serial_ % detail::recent_caches] = {serial_, c};
            return c;
        }

        const std::uint64_t serial_ = detail::next_serial();
        std::shared_ptr<detail::shared_exchange<Exchange>> shared_;
    };
};

} // namespace threads
} // namespace turbomem
