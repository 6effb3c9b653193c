// SPDX-License-Identifier: BSD-3-Clause
/// What stands behind a `turbomem_pool`: pools of different policies behind one interface.
#pragma once

#include "turbomem/hardened.hpp"
#include "turbomem/pool.hpp"
#include "turbomem/turbomem.h"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace turbomem {

/// A pool of objects whose policies the caller does not know. Codes are 0 or negative errno values, as in
/// turbomem.h. A null `local` is a thread that has not entered.
class any_pool {
  public:
    /// A thread's handle, made and ended by its pool.
    class any_local {
      public:
        virtual ~any_local() = default;
        /// The cache, when calls may go to it directly: it is all there is to them.
        virtual cache *direct() noexcept = 0;
    };

    virtual ~any_pool() = default;
    virtual std::unique_ptr<any_local> enter(std::uint32_t slot) = 0; ///< throws invalid_slot
    virtual std::unique_ptr<any_local> enter_as_guest() = 0;
    virtual std::int64_t get(any_local *local, void **objects, std::uint32_t n, bool all) = 0;
    virtual int put(any_local *local, void *const *objects, std::uint32_t n) = 0;
    /// -EBUSY and a report when the pool is checked and objects are out.
    virtual int may_end() = 0;
    virtual std::int64_t audit() = 0;
    virtual pool_statistics statistics() const = 0;
    virtual const mapping &memory() const = 0;
};

/// The code of the first misuse that the calling thread met in this call; 0: none.
inline thread_local int misuse_met = 0;

template <class Pool> class c_pool final : public any_pool {
  public:
    explicit c_pool(const pool_options &options) : pool_(options) {}

    std::unique_ptr<any_local> enter(std::uint32_t slot) override {
        return std::make_unique<entered>(pool_.enter(slot));
    }
    std::unique_ptr<any_local> enter_as_guest() override {
        return std::make_unique<entered>(pool_.enter_as_guest());
    }

    std::int64_t get(any_local *local, void **objects, std::uint32_t n, bool all) override {
        return through(local, [&](auto &door) -> std::int64_t {
            misuse_met = 0;
            const std::span<void *> wanted(objects, n);
            std::size_t got = n;
            if (!all)
                got = door.allocate_up_to(wanted);
            else if (!door.try_allocate(wanted))
                return -ENOENT;
            if (misuse_met == 0) return static_cast<std::int64_t>(got);
            const int code = misuse_met;
            door.deallocate(wanted.first(got));
            return -code;
        });
    }

    int put(any_local *local, void *const *objects, std::uint32_t n) override {
        return through(local, [&](auto &door) {
            misuse_met = 0;
            door.deallocate(std::span<void *const>(objects, n));
            return -misuse_met;
        });
    }

    int may_end() override {
        if constexpr (Pool::checked) {
            misuse_met = 0;
            pool_.report_leaks();
            return -misuse_met;
        }
        return 0;
    }

    std::int64_t audit() override {
        if constexpr (Pool::checked) return static_cast<std::int64_t>(pool_.audit());
        return -ENOTSUP;
    }

    pool_statistics statistics() const override { return pool_.statistics(); }
    const mapping &memory() const override { return pool_.memory(); }

  private:
    struct entered final : any_local {
        explicit entered(typename Pool::local &&l) : handle(std::move(l)) {}
        cache *direct() noexcept override {
            if constexpr (!Pool::checked && !Pool::hardened && !Pool::counted &&
                          std::is_same_v<typename Pool::cache_type, cache>)
                return &handle.cache();
            else
                return nullptr;
        }
        typename Pool::local handle;
    };

    template <class Body> auto through(any_local *local, Body &&body) {
        return local == nullptr ? body(pool_) : body(static_cast<entered *>(local)->handle);
    }

    Pool pool_;
};

/// `checks` is an enum turbomem_checks. Throws as pool does.
inline std::unique_ptr<any_pool> make_c_pool(const pool_options &options, bool by_node, std::uint32_t checks,
                                             bool counted) {
    const auto with =
        [&]<class Checking, class Placement>(std::type_identity<Checking>,
                                             std::type_identity<Placement>) -> std::unique_ptr<any_pool> {
        if (counted)
            return std::make_unique<c_pool<pool<void, Placement, Checking, metering::calls>>>(options);
        return std::make_unique<c_pool<pool<void, Placement, Checking>>>(options);
    };
    const auto with_checks = [&]<class Placement>(std::type_identity<Placement> placement) {
        switch (checks) {
        case TURBOMEM_CHECKS_NONE:
            return with(std::type_identity<checking::none>{}, placement);
        case TURBOMEM_CHECKS_ALL:
            return with(std::type_identity<checking::checked<>>{}, placement);
        case TURBOMEM_CHECKS_HARDENED:
            return with(std::type_identity<checking::hardened>{}, placement);
        }
        throw invalid_options("checks is " + std::to_string(checks) +
                              ", not 0 (none), 1 (all) or 2 (hardened)");
    };
    return by_node ? with_checks(std::type_identity<numa::by_node>{})
                   : with_checks(std::type_identity<numa::any_node>{});
}

} // namespace turbomem
