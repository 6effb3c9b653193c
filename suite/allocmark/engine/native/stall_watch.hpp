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
    std::atomic<int32_t> thread{0};   // as the kernel numbers it
    std::atomic<uint64_t> beats{0};   // one when a call begins, one when it ends

    void here();
    // relaxed: only how often it changes matters.
    void beat() { beats.store(beats.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

class StallWatch {
  public:
    explicit StallWatch(std::span<const Pulse> pulses) : pulses_(pulses), seen_(pulses.size()) {}

    /** Throws when a call has lasted too long, and every thread that waits in one had a CPU to go on. */
    void look();

  private:
    struct Seen {
        uint64_t beats = 0, since_ns = 0;
        uint64_t ran_ns = 0; // on a CPU, until then
    };
    /** Whether no CPU was there for a thread that has been in one call since `seen`. */
    static bool starved(const Pulse &pulse, const Seen &seen, uint64_t now);

    std::span<const Pulse> pulses_;
    std::vector<Seen> seen_;
};

} // namespace allocmark::audit
