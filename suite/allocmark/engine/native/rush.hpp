// SPDX-License-Identifier: BSD-3-Clause
/** Threads that call a backend without a pause, until it is time to stop, and one that watches them. */
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "audited.hpp"
#include "stall_watch.hpp"

namespace allocmark::audit {

/** Lives as long as the process: after a fault, threads that are left behind may still use it. */
class Rush {
  public:
    Rush(Subject &subject, const Shape &shape, uint32_t threads) : pool(subject, shape), pulses_(threads) {}

    /** Work of thread `i`, which ends soon after `stopping()`. */
    using Work = std::function<void(Rush &, uint32_t i)>;
    /** What the watching thread does now and then; `share` of the time is over. */
    using Watch = std::function<void(double share)>;

    /** Runs for `ns`, and longer where that is too short for so many calls. */
    void run(uint64_t ns, uint64_t calls, Work work, Watch watch);

    /** Takes n objects, in thread `thread` of these. False when it is time to stop; throws where the pool has
     * none for long, of which there are always enough. */
    bool get(Member &member, uint32_t thread, void **objects, uint32_t n);
    /** Gives n objects back. */
    void put(Member &member, uint32_t thread, void *const *objects, uint32_t n);

    bool stopping() const { return stop_.load(std::memory_order_relaxed); }
    Pulse &pulse(uint32_t thread) { return pulses_[thread]; }

    AuditedPool pool;

  private:
    std::vector<Pulse> pulses_;
    std::atomic<bool> stop_{false};
};

/** Numbers that look random, the same in every run. */
class Dice {
  public:
    explicit Dice(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
    uint32_t below(uint32_t n) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return uint32_t((state_ >> 32) * n >> 32);
    }

  private:
    uint64_t state_;
};

} // namespace allocmark::audit
