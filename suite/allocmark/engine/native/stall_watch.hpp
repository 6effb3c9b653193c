// SPDX-License-Identifier: BSD-3-Clause
/** Finds a call that does not come back, and does not take a busy machine for one. */
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace allocmark::audit {

/** What a thread tells of its calls, for one that watches it. */
struct alignas(128) Pulse {
    std::atomic<int32_t> thread{0}; // as the kernel numbers it
    std::atomic<uint64_t> beats{0}; // one when a call begins, one when it ends

    void here();
    // relaxed: only how often it changes matters.
    void beat() { beats.store(beats.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

class StallWatch {
  public:
    explicit StallWatch(std::span<const Pulse> pulses) : pulses_(pulses), seen_(pulses.size()) {}

    /** To be called every few milliseconds. Throws when a call lasts too long, though all that time every
     * thread that was in a call had a CPU or was asleep. */
    void look();

  private:
    struct Seen {
        uint64_t beats = 0;
        uint64_t lasted_ns = 0; // the call that it is in
        uint64_t ran_ns = 0;    // on a CPU, until the last look
    };

    std::span<const Pulse> pulses_;
    std::vector<Seen> seen_;
    uint64_t last_ns_ = 0; // when it looked
};

} // namespace allocmark::audit
