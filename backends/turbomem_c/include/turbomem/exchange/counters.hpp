// SPDX-License-Identifier: BSD-3-Clause
/// What is counted, and how low a pool has been. Nothing here is written on a fast path unless calls are
/// counted (metering::calls).
#pragma once

#include "turbomem/exchange/magazine.hpp"

#include <time.h>

#include <atomic>
#include <cstdint>

namespace turbomem {

/// What threads did; each by itself is exact while no thread is in a call. A thread adds to its own with
/// plain loads and stores; those of guests, and of a CPU, several threads add to.
struct depot_counters {
    relaxed<std::uint64_t> exchanges;  ///< magazines taken out of the depot
    relaxed<std::uint64_t> steals;     ///< of these, from another shard than the thread's
    relaxed<std::uint64_t> reclaims;   ///< times the contents of another thread's cache were taken
    relaxed<std::uint64_t> get_misses; ///< gets that the depot served, because the cache had too few
    relaxed<std::uint64_t> put_misses; ///< puts that the cache had no room for: a magazine went to the depot
    relaxed<std::uint64_t>
        failed_gets; ///< bulks that found too few objects; for guests on several nodes, on one
    relaxed<std::uint64_t> guest_calls; ///< calls of threads without a slot
    relaxed<std::uint64_t> gets, got;   ///< metering::calls: gets that took something, and objects taken
    relaxed<std::uint64_t> puts, put;   ///< metering::calls: puts, and objects put

    template <class Body> static void for_each(Body body) {
        using c = depot_counters;
        for (auto member : {&c::exchanges, &c::steals, &c::reclaims, &c::get_misses, &c::put_misses,
                            &c::failed_gets, &c::guest_calls, &c::gets, &c::got, &c::puts, &c::put})
            body(member);
    }
    depot_counters &operator+=(const depot_counters &more) noexcept {
        for_each([&](auto member) { this->*member += more.*member; });
        return *this;
    }
    /// By several threads at once. Wait-free.
    void add(const depot_counters &more) noexcept {
        for_each([&](auto member) {
            if (more.*member != 0) (this->*member).add(more.*member);
        });
    }
};

/// The fewest objects that were seen in a pool. Looked at by a get that visits the depot, about once in a
/// tick of the kernel's clock (1 to 10 ms), by every get that fails, and whenever somebody asks. So a shorter
/// low is missed, and what threads in a slow call have in their hands counts as out. Wait-free.
class low_water {
  public:
    /// Whether it is time to look. For one thread in a tick.
    bool due() noexcept {
        timespec now;
        ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        const std::int64_t tick = now.tv_sec * 1'000'000'000 + now.tv_nsec;
        // relaxed, all of it: a number for people. The load keeps the line shared for a tick.
        return tick_.load(std::memory_order_relaxed) != tick &&
               tick_.exchange(tick, std::memory_order_relaxed) != tick;
    }
    /// So many are there; the fewest so far.
    std::uint64_t note(std::uint64_t available) noexcept {
        std::uint64_t least = least_.load(std::memory_order_relaxed);
        while (available < least &&
               !least_.compare_exchange_weak(least, available, std::memory_order_relaxed)) {
        }
        return available < least ? available : least;
    }

  private:
    std::atomic<std::int64_t> tick_{0};
    std::atomic<std::uint64_t> least_{UINT64_MAX};
};

} // namespace turbomem
