// SPDX-License-Identifier: BSD-3-Clause
/** What the calls of a run in turns did: trips to what threads share, and how many objects they needed. */
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine.h"

namespace allocmark {

/** Fills an am_count, for whoever has the turn. */
class Account {
  public:
    Account(const allocmark_backend &backend, const std::vector<void *> &pools, uint32_t actors,
            am_count &count)
        : backend_(backend), count_(count) {
        for (void *pool : pools) pools_.push_back({pool, std::vector<uint64_t>(actors)});
        count_.failed = -1;
        count_.knows_cached = backend.cached != nullptr;
        count_.knows_trips = backend.trips != nullptr;
        for (Pool &pool : pools_) {
            pool.trips = backend.trips ? backend.trips(pool.handle) : 0; // begins to count
            count_.knows_trips &= pool.trips != UINT64_MAX;
        }
    }

    /** Before a call. */
    void calling(uint32_t pool, void *local) { cached_before_ = cached(pool, local); }

    /** After it; `counts`: in the tallies, too. */
    void called(am_call call, uint32_t actor, uint32_t number, void *local, uint32_t n, bool counts) {
        Pool &pool = pools_[number];
        const uint64_t trips = count_.knows_trips ? backend_.trips(pool.handle) : pool.trips;
        const uint64_t made = trips - pool.trips;
        pool.trips = trips;
        pool.cached[actor] = cached(number, local);
        const bool get = call == AM_CALL_GET;
        pool.out = get ? pool.out + n : pool.out - n;
        am_need &need = count_.needs[number];
        need.most_out = std::max(need.most_out, pool.out);
        if (get) need.most_needed = std::max(need.most_needed, pool.out + cached_by_others(pool, actor));
        if (!counts) return;
        am_tally &tally = count_.tallies[(actor * pools_.size() + number) * AM_CALLS + call];
        ++tally.calls;
        tally.objects += n;
        tally.trips += made;
        if (count_.knows_cached)
            tally.moved +=
                get ? n + pool.cached[actor] - cached_before_ : n + cached_before_ - pool.cached[actor];
    }

    /** A get found too little. True. */
    bool fail(uint32_t pool) {
        count_.failed = int32_t(pool);
        return true;
    }

  private:
    struct Pool {
        void *handle;
        std::vector<uint64_t> cached = {}; // by actor, as of its last call
        uint64_t trips = 0, out = 0;
    };

    uint64_t cached(uint32_t pool, void *local) const {
        return backend_.cached ? backend_.cached(pools_[pool].handle, local) : 0;
    }

    static uint64_t cached_by_others(const Pool &pool, uint32_t actor) {
        uint64_t all = 0;
        for (const uint64_t own : pool.cached) all += own;
        return all - pool.cached[actor];
    }

    const allocmark_backend &backend_;
    am_count &count_;
    std::vector<Pool> pools_;
    uint64_t cached_before_ = 0; // by whoever calls
};

} // namespace allocmark
