// SPDX-License-Identifier: BSD-3-Clause
/** How an actor waits at a queue. */
#pragma once

#include <algorithm>
#include <cstdint>

#include "clock.hpp"

namespace allocmark {

/**
 * Waits for half of a queue, not for the next bulk, as long as its other end moves.
 *
 * An actor that goes on with the first bulk stays at the edge: every bulk then moves the line with the other
 * end's position, and whether it does hangs on which of the two a pool made the faster. That costs more than
 * most pools do, the floor as much as any.
 *
 * Where the other end stands still, because it waits for this one, the wait is over after one look, and tried
 * ever more rarely.
 *
 * Aligned, because it is written: beside it on the heap may lie what another actor reads at each step.
 */
class alignas(128) HalfWait {
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
    uint32_t skip_ = 0; // waits that are left out from here
    uint32_t idle_ = 0; // how many were, the last time
};

} // namespace allocmark
