// SPDX-License-Identifier: BSD-3-Clause
/// Threading policies: how a call without a handle reaches the exchange. Those that need no thread-local
/// storage; see also per_thread.hpp.
#pragma once

#include "turbomem/policies.hpp"

#include <algorithm>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <utility>

namespace turbomem::detail {

/// What a thread that entered the exchange works through.
template <class Exchange>
using cache_of = std::remove_reference_t<decltype(std::declval<Exchange &>().enter(std::uint32_t{}))>;

inline std::uint32_t cpus() noexcept {
    return std::max(1u, std::thread::hardware_concurrency());
}

} // namespace turbomem::detail

namespace turbomem::threads {

/// Threads enter the pool and work through the handle they get: nothing is looked up. A call without a handle
/// works too, as one of a thread that has no cache. The default.
struct slots {
    using family = policy::threading;
    /// Slots of a pool whose options do not say: one a CPU.
    static std::uint32_t default_threads() noexcept { return detail::cpus(); }

    /// Owns the exchange; every function as the exchange's of that name.
    template <class Exchange> class route {
      public:
        template <class... Args> explicit route(Args &&...args) : exchange_(std::forward<Args>(args)...) {}

        Exchange &exchange() noexcept { return exchange_; }
        const Exchange &exchange() const noexcept { return exchange_; }

        bool get_bulk(void **objects, std::uint32_t n) noexcept { return exchange_.get_bulk(objects, n); }
        std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
            return exchange_.get_up_to(objects, n);
        }
        void put_bulk(void *const *objects, std::uint32_t n) noexcept { exchange_.put_bulk(objects, n); }
        template <std::uint32_t N> bool get_bulk(void **objects) noexcept {
            return exchange_.get_bulk(objects, N);
        }
        template <std::uint32_t N> void put_bulk(void *const *objects) noexcept {
            exchange_.put_bulk(objects, N);
        }

      private:
        Exchange exchange_;
    };
};

/// One thread at a time uses the pool, ordered by the program: its cache is the pool's own.
struct single {
    using family = policy::threading;
    static std::uint32_t default_threads() noexcept { return 1; }

    template <class Exchange> class route {
      public:
        template <class... Args>
        explicit route(Args &&...args) : exchange_(std::forward<Args>(args)...), cache_(exchange_.enter(0)) {}
        ~route() { exchange_.leave(cache_); }
        route(const route &) = delete;
        route &operator=(const route &) = delete;

        Exchange &exchange() noexcept { return exchange_; }
        const Exchange &exchange() const noexcept { return exchange_; }

        bool get_bulk(void **objects, std::uint32_t n) noexcept { return cache_.get_bulk(objects, n); }
        std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
            return cache_.get_up_to(objects, n);
        }
        void put_bulk(void *const *objects, std::uint32_t n) noexcept { cache_.put_bulk(objects, n); }
        template <std::uint32_t N> bool get_bulk(void **objects) noexcept {
            return cache_.template get_bulk<N>(objects);
        }
        template <std::uint32_t N> void put_bulk(void *const *objects) noexcept {
            cache_.template put_bulk<N>(objects);
        }

      private:
        Exchange exchange_;
        detail::cache_of<Exchange> &cache_;
    };
};

} // namespace turbomem::threads
