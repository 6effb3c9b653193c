// SPDX-License-Identifier: BSD-3-Clause
#include "rush.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "clock.hpp"
#include "interrupted.hpp"

namespace allocmark::audit {

namespace {

constexpr auto kLook = std::chrono::milliseconds(10); // how often is looked
constexpr uint64_t kPatience = 10'000'000'000;        // ns more than asked for, on a slow machine
constexpr uint64_t kStarved = 5'000'000'000;          // ns in which a thread gets nothing

} // namespace

void Rush::must_be_of_pool(void *const *objects, uint32_t n) const {
    if (all_objects.empty()) return;
    for (uint32_t i = 0; i < n; ++i)
        if (objects[i] < all_objects.front() || objects[i] > all_objects.back())
            fault("get_bulk of %u handed out %p as objects[%u], which is no object of the pool", n,
                  objects[i], i);
}

bool Rush::get(Member &member, uint32_t thread, void **objects, uint32_t n) {
    Patience patience(kStarved);
    while (!stopping()) {
        pulses_[thread].beat();
        const bool got = member.get(objects, n);
        pulses_[thread].beat();
        if (got) {
            must_be_of_pool(objects, n);
            return true;
        }
        if (patience.lost())
            fault("the pool had no %u objects for 5 s, though less than half of its objects are out", n);
    }
    return false;
}

void Rush::put(Member &member, uint32_t thread, void *const *objects, uint32_t n) {
    pulses_[thread].beat();
    member.put(objects, n);
    pulses_[thread].beat();
}

void Rush::run(const Least &least, Work work, Watch watch) {
    const auto threads = uint32_t(pulses_.size());
    const auto watched = [this, least, watch] {
        StallWatch stalls(pulses_);
        const uint64_t begin = now_ns(), calls = pool.subject.calls.load(), pauses = Interrupted::pauses();
        while (!stopping()) {
            std::this_thread::sleep_for(kLook);
            stalls.look();
            const uint64_t took = now_ns() - begin;
            const bool made = pool.subject.calls.load() - calls >= least.calls &&
                              Interrupted::pauses() - pauses >= least.pauses;
            const bool enough = took >= least.ns && (made || took >= least.ns + kPatience);
            watch(enough ? 1.0 : std::min(0.999, double(took) / double(least.ns)));
            if (enough) return;
        }
    };
    on_threads(threads + 1, [this, threads, work, watched](uint32_t i) {
        try {
            i < threads ? work(*this, i) : watched();
        } catch (...) {
            stop_.store(true, std::memory_order_relaxed);
            throw;
        }
        stop_.store(true, std::memory_order_relaxed);
    });
}

} // namespace allocmark::audit
