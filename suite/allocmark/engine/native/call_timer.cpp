// SPDX-License-Identifier: BSD-3-Clause
#include "call_timer.hpp"

#include <algorithm>
#include <array>
#include <numeric>

using namespace allocmark;

extern "C" {

uint64_t am_bucket_top(uint32_t bucket) {
    return Histogram::top(bucket);
}

double am_tick_ns(void) {
    static const double tick_ns = [] {
        const uint64_t begin_ns = now_ns(), begin = ticks();
        uint64_t end_ns;
        do end_ns = now_ns();
        while (end_ns - begin_ns < 5'000'000);
        return double(end_ns - begin_ns) / double(ticks() - begin);
    }();
    return tick_ns;
}

uint64_t am_clock_ticks(void) {
    std::array<uint64_t, 1001> readings;
    for (uint64_t &reading : readings) {
        const uint64_t begin = ticks();
        reading = ticks() - begin;
    }
    std::nth_element(readings.begin(), readings.begin() + readings.size() / 2, readings.end());
    return readings[readings.size() / 2];
}

uint64_t am_clock_step(void) {
    uint64_t step = 0, before = ticks(); // of 0 and n the divisor is n
    for (int reading = 0; reading < 1000; ++reading) {
        const uint64_t now = ticks();
        if (now > before) step = std::gcd(step, now - before);
        before = now;
    }
    return step;
}

} // extern "C"
