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

constexpr uint64_t kLongest = 150'000'000;    // ns in one call: a hundred thousand times what one takes
constexpr uint64_t kLongestLook = 30'000'000; // ns

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

void StallWatch::look() {
    const uint64_t now = now_ns(), passed = now - last_ns_;
    last_ns_ = now;
    bool starved = false; // a thread, or one that it waits for
    uint64_t longest = 0;
    for (size_t i = 0; i < pulses_.size(); ++i) {
        Seen &seen = seen_[i];
        const int32_t thread = pulses_[i].thread.load(std::memory_order_relaxed);
        const uint64_t beats = pulses_[i].beats.load(std::memory_order_relaxed), ran = ran_ns(thread);
        const bool same_call = beats % 2 == 1 && beats == seen.beats;
        // Where the whole machine stood still, that counts as one short look.
        const uint64_t lasted = same_call ? seen.lasted_ns + std::min(passed, kLongestLook) : 0;
        starved |= same_call && runnable(thread) && ran - seen.ran_ns < passed / 2;
        seen = {beats, lasted, ran};
        longest = std::max(longest, lasted);
    }
    if (starved)
        for (Seen &seen : seen_) seen.lasted_ns = 0;
    else if (longest > kLongest)
        fault("a get or put stalls: it has lasted for %" PRIu64 " ms, and no thread lacked a CPU",
              longest / 1'000'000);
}

} // namespace allocmark::audit
