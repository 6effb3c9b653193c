// SPDX-License-Identifier: BSD-3-Clause
/** Events as they are played, and where their objects are. */
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "trace_format.hpp"

namespace allocmark {

/** Where an object of the trace is. Written by whoever's turn it is. */
struct Slot {
    void *object = nullptr;
    uint64_t size = 0;
    std::atomic<uint32_t> turn{0}; // events so far
    uint32_t pool = 0;
};

/** An event as it is played: 16 bytes. `place`: the pool's number; without pools the alignment's logarithm.
 */
struct Call {
    uint64_t size : 47, place : 12, op : 3, waits : 1, more : 1;
    uint32_t slot, turn;
};
static_assert(sizeof(Call) == 16 && AM_MOST_POOLS <= 1 << 12);

/** A call, or the calls of one bulk. */
using Bulk = std::span<const Call>;

} // namespace allocmark
