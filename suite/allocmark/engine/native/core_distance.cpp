// SPDX-License-Identifier: BSD-3-Clause
/** How far two CPUs are apart: the round trip of one cache line that both write. */
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>

#include "clock.hpp"
#include "engine.h"
#include "pinned_thread.hpp"

namespace {

constexpr uint32_t kTripsPerBatch = 100;

struct PingPong {
    alignas(128) std::atomic<uint32_t> ball{0}; // even: the server's turn; odd: the other's
    alignas(128) uint32_t trips;                // not in the ball's line
    std::vector<double> batches;
};

/** Looks all the time, since how long it takes to see the change is measured. Yields in case both share a
 * CPU. */
void wait_for(const PingPong &game, uint32_t turn) {
    for (uint32_t looks = 1; game.ball.load(std::memory_order_acquire) != turn; ++looks) {
        allocmark::cpu_relax();
        if (looks % 4096 == 0) sched_yield();
    }
}

void *serve(void *argument) {
    auto &game = *static_cast<PingPong *>(argument);
    uint64_t start = 0;
    for (uint32_t trip = 0; trip <= game.trips; ++trip) {
        if (trip % kTripsPerBatch == 0) {
            const uint64_t now = allocmark::now_ns();
            if (trip > 0) game.batches.push_back(double(now - start) / kTripsPerBatch);
            start = now;
        }
        if (trip == game.trips) break;
        game.ball.store(2 * trip + 1, std::memory_order_release);
        wait_for(game, 2 * trip + 2);
    }
    return nullptr;
}

void *answer(void *argument) {
    auto &game = *static_cast<PingPong *>(argument);
    for (uint32_t trip = 0; trip < game.trips; ++trip) {
        wait_for(game, 2 * trip + 1);
        game.ball.store(2 * trip + 2, std::memory_order_release);
    }
    return nullptr;
}

} // namespace

extern "C" double am_core_distance(int32_t cpu_a, int32_t cpu_b, uint32_t rounds) {
    if (cpu_a < 0 || cpu_b < 0 || cpu_a == cpu_b || cpu_a >= CPU_SETSIZE || cpu_b >= CPU_SETSIZE ||
        rounds == 0)
        return -EINVAL;
    PingPong game;
    game.trips = rounds * kTripsPerBatch;
    game.batches.reserve(rounds); // no allocation between two trips
    pthread_t other, server;
    if (const int code = allocmark::start_on(cpu_b, &other, answer, &game)) return -code;
    if (const int code = allocmark::start_on(cpu_a, &server, serve, &game)) {
        // Play the other side from here, so that the first thread ends by itself.
        for (uint32_t trip = 0; trip < game.trips; ++trip) {
            game.ball.store(2 * trip + 1, std::memory_order_release);
            while (game.ball.load(std::memory_order_acquire) != 2 * trip + 2) sched_yield();
        }
        pthread_join(other, nullptr);
        return -code;
    }
    pthread_join(server, nullptr);
    pthread_join(other, nullptr);
    const auto middle = game.batches.begin() + game.batches.size() / 2;
    std::nth_element(game.batches.begin(), middle, game.batches.end());
    return *middle;
}
