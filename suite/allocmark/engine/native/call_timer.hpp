// SPDX-License-Identifier: BSD-3-Clause
/** Times some of an actor's calls, by the time-stamp counter. */
#pragma once

#include <cstdint>

#include "clock.hpp"
#include "histogram.hpp"

namespace allocmark {

/**
 * The distance to the next call that is timed is drawn at random: a fixed one could match the workload's own
 * period, and always meet the same call of each burst.
 */
class CallTimer {
  public:
    /** One call in `every`, on average; forgets what was counted. Draws begin anew with `seed`. */
    void start(uint32_t every, uint32_t seed) {
        most_ = 2 * uint64_t(every) - 1;
        draw_ = seed * 2654435761u | 1;
        left_ = gap();
        histogram_.clear();
    }
    /** Whether the call to come is to be timed; then `add` must follow. */
    bool due() { return --left_ == 0; }
    void add(uint64_t begin, uint64_t end) {
        histogram_.add(end > begin ? end - begin : 0); // counters of two CPUs may differ by a little
        left_ = gap();
    }
    const Histogram &histogram() const { return histogram_; }

  private:
    /** 1 to 2 * every - 1, each as likely. Marsaglia's xorshift with shifts of 13, 17 and 5. */
    uint32_t gap() {
        draw_ ^= draw_ << 13;
        draw_ ^= draw_ >> 17;
        draw_ ^= draw_ << 5;
        return 1 + uint32_t(draw_ * most_ >> 32);
    }

    uint32_t draw_ = 1, left_ = 1;
    uint64_t most_ = 1;
    Histogram histogram_;
};

} // namespace allocmark
