// SPDX-License-Identifier: BSD-3-Clause
/** How far two processors are apart: the round trip of one cache line that both write. */
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>

#include "clock.hpp"
#include "engine.h"

namespace {

constexpr uint32_t kTripsPerBatch = 100;

struct Table {
    alignas(128) std::atomic<uint32_t> ball{0}; // even: the server's turn; odd: the other's
    alignas(128) uint32_t trips;                // not in the ball's line
    std::vector<double> batches;
};

/** Looks all the time, since the time until it is seen is what is measured; yields in case both share a CPU.
 */
void wait_for(const Table &table, uint32_t turn) {
    for (uint32_t looks = 1; table.ball.load(std::memory_order_acquire) != turn; ++looks) {
        allocmark::cpu_relax();
        if (looks % 4096 == 0) sched_yield();
    }
}

void *serve(void *argument) {
    auto &table = *static_cast<Table *>(argument);
    uint64_t start = 0;
    for (uint32_t trip = 0; trip <= table.trips; ++trip) {
        if (trip % kTripsPerBatch == 0) {
            const uint64_t now = allocmark::now_ns();
            if (trip > 0) table.batches.push_back(double(now - start) / kTripsPerBatch);
            start = now;
        }
        if (trip == table.trips) break;
        table.ball.store(2 * trip + 1, std::memory_order_release);
        wait_for(table, 2 * trip + 2);
    }
    return nullptr;
}

void *answer(void *argument) {
    auto &table = *static_cast<Table *>(argument);
    for (uint32_t trip = 0; trip < table.trips; ++trip) {
        wait_for(table, 2 * trip + 1);
        table.ball.store(2 * trip + 2, std::memory_order_release);
    }
    return nullptr;
}

int start_on(int32_t cpu, pthread_t *thread, void *(*run)(void *), Table &table) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    const int code = pthread_create(thread, &attributes, run, &table);
    pthread_attr_destroy(&attributes);
    return code;
}

} // namespace

extern "C" double am_core_distance(int32_t cpu_a, int32_t cpu_b, uint32_t rounds) {
    if (cpu_a < 0 || cpu_b < 0 || cpu_a == cpu_b || cpu_a >= CPU_SETSIZE || cpu_b >= CPU_SETSIZE ||
        rounds == 0)
        return -EINVAL;
    Table table;
    table.trips = rounds * kTripsPerBatch;
    table.batches.reserve(rounds); // no allocation between two trips
    pthread_t other, server;
    if (const int code = start_on(cpu_b, &other, answer, table)) return -code;
    if (const int code = start_on(cpu_a, &server, serve, table)) {
        // Play the other side from here, so that the first thread ends by itself.
        for (uint32_t trip = 0; trip < table.trips; ++trip) {
            table.ball.store(2 * trip + 1, std::memory_order_release);
            while (table.ball.load(std::memory_order_acquire) != 2 * trip + 2) sched_yield();
        }
        pthread_join(other, nullptr);
        return -code;
    }
    pthread_join(server, nullptr);
    pthread_join(other, nullptr);
    const auto middle = table.batches.begin() + table.batches.size() / 2;
    std::nth_element(table.batches.begin(), middle, table.batches.end());
    return *middle;
}
