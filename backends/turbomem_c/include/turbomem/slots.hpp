// SPDX-License-Identifier: BSD-3-Clause
/// Threading policies that look nothing up: a thread works through a handle, or there is one thread.
#pragma once

#include "turbomem/policies.hpp"
#include "turbomem/system/threads.hpp"

#include <cstdint>
#include <utility>

namespace turbomem::threads {

/// Threads enter the pool and work through the handle they get: nothing is looked up. A call without a handle
/// works too, as one of a thread that has no cache. The default.
struct slots {
    using family = policy::threading;
    /// Slots of a pool whose options do not say: one per CPU.
    static std::uint32_t default_threads() noexcept { return detail::cpus(); }

    template <class Exchange> class route {
      public:
        template <class... Args> explicit route(Args &&...args) : exchange_(std::forward<Args>(args)...) {}

        Exchange &exchange() noexcept { return exchange_; }
        const Exchange &exchange() const noexcept { return exchange_; }
        /// What a call without a handle works through.
        Exchange &source() noexcept { return exchange_; }

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
        auto &source() noexcept { return cache_; }

      private:
        Exchange exchange_;
        typename Exchange::cache_type &cache_;
    };
};

} // namespace turbomem::threads
