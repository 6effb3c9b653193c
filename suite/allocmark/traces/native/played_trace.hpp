// SPDX-License-Identifier: BSD-3-Clause
/** Plays a trace on a backend: its threads, their events in their order, and what one waits for of another.
 */
#pragma once

#include "histogram.hpp"
#include "trace_order.hpp"

namespace allocmark {

/** See am_trace_play. The trace was checked. */
int play(const TraceFile &file, const am_play_plan &plan, am_played &played, uint64_t *resident,
         uint64_t *live, allocmark_error &error);

} // namespace allocmark
