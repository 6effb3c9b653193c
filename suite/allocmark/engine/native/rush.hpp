// SPDX-License-Identifier: BSD-3-Clause
/** Threads that call a backend without a pause, until it is time to stop, and one that watches them. */
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
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

    /** How much is enough, beside the time: a slow machine takes longer. */
    struct Least {
        uint64_t ns, calls;
        uint64_t pauses = 0; // of threads that are `Interrupted`
    };
    /** Runs until all of `least` is reached, but not for much longer than its time. */
    void run(const Least &least, Work work, Watch watch);

    /** Takes n objects, in thread `thread` of these. False when it is time to stop; throws where the pool has
     * none for long, of which there are always enough. */
    bool get(Member &member, uint32_t thread, void **objects, uint32_t n);
    /** Gives n objects back. */
    void put(Member &member, uint32_t thread, void *const *objects, uint32_t n);

    bool stopping() const { return stop_.load(std::memory_order_relaxed); }
    Pulse &pulse(uint32_t thread) { return pulses_[thread]; }
    std::span<const Pulse> pulses() const { return pulses_; }

    AuditedPool pool;
    /** In order; empty where they are not known. What is none of them is not written to. */
    std::vector<void *> all_objects;

  private:
    void must_be_of_pool(void *const *objects, uint32_t n) const;

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
