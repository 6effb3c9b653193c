// SPDX-License-Identifier: BSD-3-Clause
/** How an actor waits at a queue. */
#pragma once

#include <algorithm>
#include <cstdint>

#include "clock.hpp"

namespace allocmark {

/**
 * Waits until half of a queue can be used, not for the next bulk alone, while the queue's other end moves.
 *
 * An actor that went on with the first bulk would find the queue full (or empty) again at the next one. Then
 * every bulk moves the cache line with the other end's position between the cores, which costs more than most
 * pools do. And whether that happens would depend on which actor a pool makes the faster one.
 *
 * If the other end stands still, because it waits for this one, the wait ends after one look, and later waits
 * are left out, more and more of them.
 */
class HalfWait {
  public:
    /** `part`: what this end could use of the queue now. Returns when that is half, or grows no more. */
    template <class Part> void operator()(Part part, uint32_t half) {
        if (skip_ > 0) {
            --skip_;
            return;
        }
        for (uint32_t before = part();;) {
            for (uint32_t i = 0; i < kPauses; ++i) cpu_relax();
            const uint32_t now = part();
            if (now >= half) {
                idle_ = 0;
                return;
            }
            if (now <= before) {
                skip_ = idle_ = std::min(2 * idle_ + 1, kRarely);
                return;
            }
            before = now;
        }
    }

  private:
    static constexpr uint32_t kPauses = 16; // well below a microsecond
    static constexpr uint32_t kRarely = 1023;
    uint32_t skip_ = 0; // waits still to leave out
    uint32_t idle_ = 0; // how many were left out the last time
};

} // namespace allocmark
