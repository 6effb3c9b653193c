// SPDX-License-Identifier: BSD-3-Clause
/** Time and waiting. */
#pragma once

#include <sched.h>
#include <time.h>

#include <cstdint>

namespace allocmark {

inline uint64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return uint64_t(t.tv_sec) * 1'000'000'000u + uint64_t(t.tv_nsec);
}

/** The time-stamp counter, read after the instructions before it are done and before those behind it begin.
 */
inline uint64_t ticks() {
#if defined(__x86_64__)
    // The first fence waits for loads before it, the second keeps what is timed from starting early.
    __builtin_ia32_lfence();
    const uint64_t now = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return now;
#elif defined(__aarch64__)
    uint64_t now;
    asm volatile("isb; mrs %0, cntvct_el0; isb" : "=r"(now)::"memory");
    return now;
#else
    return now_ns();
#endif
}

inline void cpu_relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/**
 * Waits a little longer each time, so that a thread that waits does not keep taking the cache line from the
 * one that works. In the end it yields the CPU, so that more actors than cores can go on.
 */
class Backoff {
  public:
    void pause() {
        for (uint32_t i = 0; i < length_; ++i) cpu_relax();
        if (length_ < kLongest)
            length_ *= 2;
        else if (++turns_ % kTurnsBeforeYield == 0)
            sched_yield();
    }

  private:
    static constexpr uint32_t kLongest = 16; // well below a microsecond
    static constexpr uint32_t kTurnsBeforeYield = 256;
    uint32_t length_ = 1, turns_ = 0;
};

/** Says when a wait has lasted too long. Reads the clock only now and then. */
class Patience {
  public:
    explicit Patience(uint64_t limit_ns) : limit_ns_(limit_ns) {}
    /** One more try failed. True when the limit is over. */
    bool lost() {
        backoff_.pause();
        if (++tries_ % 256 != 1) return false;
        const uint64_t now = now_ns();
        if (start_ == 0) start_ = now;
        return now - start_ > limit_ns_;
    }

  private:
    Backoff backoff_;
    uint32_t tries_ = 0;
    uint64_t limit_ns_;
    uint64_t start_ = 0;
};

} // namespace allocmark
