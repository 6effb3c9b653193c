// SPDX-License-Identifier: BSD-3-Clause
#include "stall_watch.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>

#include "audited.hpp"
#include "clock.hpp"

namespace allocmark::audit {

namespace {

constexpr uint64_t kLongest = 150'000'000; // ns in one call: a hundred thousand times what one takes

std::unique_ptr<FILE, int (*)(FILE *)> opened(int32_t thread, const char *what) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", thread, what);
    return {fopen(path, "re"), fclose};
}

/** ns that a thread was on a CPU; 0 where the kernel does not count. */
uint64_t ran_ns(int32_t thread) {
    const auto file = opened(thread, "schedstat");
    uint64_t ran;
    return file && fscanf(file.get(), "%" SCNu64, &ran) == 1 ? ran : 0;
}

/** Whether a thread has, or waits for, a CPU. */
bool runnable(int32_t thread) {
    const auto file = opened(thread, "stat");
    char state;
    return file && fscanf(file.get(), "%*d (%*[^)]) %c", &state) == 1 && state == 'R';
}

} // namespace

void Pulse::here() {
    thread.store(int32_t(syscall(SYS_gettid)), std::memory_order_relaxed);
}

bool StallWatch::starved(const Pulse &pulse, const Seen &seen, uint64_t now) {
    const int32_t thread = pulse.thread.load(std::memory_order_relaxed);
    return runnable(thread) && ran_ns(thread) - seen.ran_ns < (now - seen.since_ns) / 2;
}

void StallWatch::look() {
    const uint64_t now = now_ns();
    bool any_starved = false;
    size_t longest = 0;
    uint64_t lasted = 0;
    for (size_t i = 0; i < pulses_.size(); ++i) {
        const uint64_t beats = pulses_[i].beats.load(std::memory_order_relaxed);
        Seen &seen = seen_[i];
        if (beats % 2 == 0 || beats != seen.beats) {
            seen = {beats, now, ran_ns(pulses_[i].thread.load(std::memory_order_relaxed))};
            continue;
        }
        // It may wait for another one, which has no CPU.
        any_starved |= starved(pulses_[i], seen, now);
        if (now - seen.since_ns > lasted) {
            lasted = now - seen.since_ns;
            longest = i;
        }
    }
    if (lasted <= kLongest) return;
    if (any_starved) { // and from now on it may get one
        for (Seen &seen : seen_) seen.since_ns = now;
        return;
    }
    fault("a call of thread %zu stalls: it has lasted for %" PRIu64 " ms, while no thread lacked a CPU", longest,
          lasted / 1'000'000);
}

} // namespace allocmark::audit
