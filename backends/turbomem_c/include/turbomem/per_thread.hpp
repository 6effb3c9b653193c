// SPDX-License-Identifier: BSD-3-Clause
/// A threading policy: every thread that calls the pool gets a cache by itself, and gives it up when it ends.
#pragma once

#include "turbomem/exchange/shared_exchange.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/system/threads.hpp"

#include <cstdint>
#include <utility>

namespace turbomem::threads {

/// No handle: a call finds the calling thread's cache in a table of the pool, and a thread that calls for the
/// first time takes a slot. A thread that ends gives its slot up. When all slots are in use, or while a
/// thread ends, its calls are those of a thread without a cache: slower, never refused. Lock-free; the first
/// call of a thread also allocates memory for its table.
///
/// A thread may end while the pool ends and after it; the magazines of a pool that is gone are freed when the
/// last thread that used it ends or first uses another pool. Where another shared object ended the pool than
/// the one that the thread's calls are in, a thread keeps those of as many that are gone as it uses, and one.
///
/// In a child of fork the slots of threads that are not there are free again.
struct per_thread {
    using family = policy::threading;
    /// Slots of a pool whose options do not say: four per CPU.
    static std::uint32_t default_threads() noexcept { return 4 * detail::cpus(); }

    template <class Exchange> class route {
        using cache = typename Exchange::cache_type;
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
        route &source() noexcept { return *this; }

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
        /// metering::calls: a get took, a put gave n objects.
        void count_get(std::uint32_t n) noexcept {
            cache *const c = find();
            c != nullptr ? c->count_get(n) : exchange().count_get(n);
        }
        void count_put(std::uint32_t n) noexcept {
            cache *const c = find();
            c != nullptr ? c->count_put(n) : exchange().count_put(n);
        }

        /// For a thread that enters by itself: see shared_exchange.
        void bury() noexcept { shared_->bury(); }

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

} // namespace turbomem::threads
