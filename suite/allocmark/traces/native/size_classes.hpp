// SPDX-License-Identifier: BSD-3-Clause
/**
 * Which pool serves an object of a malloc trace: size classes are 16 bytes, the powers of two from 32 on and
 * what lies half way between them; an alignment of more than 16 bytes has pools of its own.
 */
#pragma once

#include <array>
#include <bit>
#include <span>
#include <vector>

#include "trace_reader.hpp"

namespace allocmark {

class SizeClasses {
  public:
    static constexpr uint32_t kUsual = 4; // alignment that malloc gives, its logarithm

    /** `pools`: as pools_of returned them for the file. */
    SizeClasses(const TraceFile &file, std::span<const am_trace_pool> pools) {
        if (!file.pools.empty()) return;
        by_.resize(kClasses);
        for (uint16_t i = 0; i < pools.size(); ++i)
            by_[class_of(pools[i].object_size)][pools[i].alignment] = i;
    }
    /** Whether the trace itself names the pools. */
    bool empty() const { return by_.empty(); }

    uint16_t pool_of(const TraceEvent &event) const { return by_[class_of(event.size)][alignment_of(event)]; }

    static uint32_t alignment_of(const TraceEvent &event) {
        return event.op == TraceOp::kAligned && event.alignment > kUsual ? event.alignment : kUsual;
    }
    static uint32_t class_of(uint64_t size) {
        if (size <= 32) return size > 16;
        const auto top = uint32_t(std::bit_width(size - 1)) - 1; // size is above 1 << top
        return 2 * (top - 5) + (size <= uint64_t(3) << (top - 1) ? 2 : 3);
    }
    static uint64_t bytes(uint32_t size_class) {
        if (size_class < 2) return 16 << size_class;
        const uint64_t below = uint64_t(32) << (size_class - 2) / 2;
        return size_class % 2 ? 2 * below : below * 3 / 2;
    }
    static constexpr uint32_t kClasses = 90;

  private:
    std::vector<std::array<uint16_t, 41>> by_; // class, alignment
};

/** The pools on which the trace can be played: see am_trace_pools. False: `damage`. */
bool pools_of(const TraceFile &file, std::vector<am_trace_pool> &pools, Damage &damage);

} // namespace allocmark
