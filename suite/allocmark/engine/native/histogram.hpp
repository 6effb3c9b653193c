// SPDX-License-Identifier: BSD-3-Clause
/** Durations of single calls: a log-linear histogram, in the way of HDR histograms. */
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "engine.h"

namespace allocmark {

/**
 * Counts values from 0 to kMost. Each power of two is cut into kSteps buckets of one width, so that a
 * bucket's top is at most 1/kSteps above any value in it; values below 2 * kSteps are exact. Larger ones than
 * kMost are counted as kMost. Not for several threads.
 */
class Histogram {
  public:
    static constexpr uint32_t kBits = 6, kSteps = 1u << kBits;
    static constexpr uint64_t kMost = (uint64_t(1) << 40) - 1; // ticks: minutes

    static constexpr uint32_t bucket(uint64_t value) {
        value = std::min(value, kMost);
        const uint32_t shift = uint32_t(std::max(0, int(std::bit_width(value)) - int(kBits) - 1));
        return (shift << kBits) + uint32_t(value >> shift);
    }
    /** The largest value of a bucket. */
    static constexpr uint64_t top(uint32_t bucket) {
        const uint32_t shift = bucket < 2 * kSteps ? 0 : (bucket >> kBits) - 1;
        return ((uint64_t(bucket) - (uint64_t(shift) << kBits) + 1) << shift) - 1;
    }

    void add(uint64_t value) { ++counts_[bucket(value)]; }
    void clear() { counts_.fill(0); }
    /** Adds its counts to those of AM_BUCKETS buckets. */
    void add_to(uint64_t *counts) const {
        for (uint32_t bucket = 0; bucket < AM_BUCKETS; ++bucket) counts[bucket] += counts_[bucket];
    }

  private:
    std::array<uint64_t, AM_BUCKETS> counts_{};
};

static_assert(Histogram::bucket(Histogram::kMost) + 1 == AM_BUCKETS);
static_assert(Histogram::top(AM_BUCKETS - 1) == Histogram::kMost);

} // namespace allocmark
