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

inline void cpu_relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/** Waits a little longer each time, and gives the CPU away at last: more actors than cores must go on. */
class Backoff {
  public:
    void pause() {
        cpu_relax();
        if (++spins_ % kSpinsBeforeYield == 0) sched_yield();
    }
    uint32_t spins() const { return spins_; }

  private:
    static constexpr uint32_t kSpinsBeforeYield = 2048;
    uint32_t spins_ = 0;
};

/** Says when a wait has lasted too long. Reads the clock only now and then. */
class Patience {
  public:
    explicit Patience(uint64_t limit_ns) : limit_ns_(limit_ns) {}
    /** One more try failed. True when the limit is over. */
    bool lost() {
        backoff_.pause();
        if (backoff_.spins() % 1024 != 1) return false;
        const uint64_t now = now_ns();
        if (start_ == 0) start_ = now;
        return now - start_ > limit_ns_;
    }

  private:
    Backoff backoff_;
    uint64_t limit_ns_;
    uint64_t start_ = 0;
};

} // namespace allocmark
