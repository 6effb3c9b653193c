// SPDX-License-Identifier: BSD-3-Clause
/** How fast a CPU is now: what else runs on its core, on another hardware thread, takes up to half of it. */
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "clock.hpp"
#include "engine.h"
#include "pinned_thread.hpp"

namespace {

/** 32 bytes at any address; as wide as the target allows. */
typedef uint64_t Wide __attribute__((vector_size(32), aligned(8), may_alias));

constexpr size_t kBytes = 1024;
constexpr uint32_t kCopies = 100, kBatches = 60, kWarmUp = 10;

struct Probe {
    alignas(4096) std::array<char, kBytes> from{};
    alignas(4096) std::array<char, 3 * kBytes> to{}; // its last third: other sets of the L1 cache
    double ns = 0;

    void copy() {
        for (size_t at = 0; at < kBytes; at += sizeof(Wide))
            *reinterpret_cast<Wide *>(&to[2 * kBytes + at]) = *reinterpret_cast<const Wide *>(&from[at]);
        asm volatile("" ::"r"(from.data()), "r"(to.data()) : "memory");
    }
};

void *run(void *argument) {
    auto &probe = *static_cast<Probe *>(argument);
    std::array<double, kBatches> batches{};
    for (uint32_t batch = 0; batch < kWarmUp + kBatches; ++batch) {
        const uint64_t start = allocmark::now_ns();
        for (uint32_t i = 0; i < kCopies; ++i) probe.copy();
        if (batch >= kWarmUp) batches[batch - kWarmUp] = double(allocmark::now_ns() - start) / kCopies;
    }
    std::nth_element(batches.begin(), batches.begin() + kBatches / 2, batches.end());
    probe.ns = batches[kBatches / 2];
    return nullptr;
}

} // namespace

extern "C" double am_core_pace(int32_t cpu) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return -EINVAL;
    Probe probe;
    pthread_t thread;
    if (const int code = allocmark::start_on(cpu, &thread, run, &probe)) return -code;
    pthread_join(thread, nullptr);
    return probe.ns;
}
