// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds an object for one get and one put through the allocmark table, as the engine calls it: each
/// thread takes `keep` objects in bulks of n and gives them all back. Configurations are interleaved;
/// medians.
///
///     include=$(python -c 'import allocmark; print(allocmark.get_include())')
///     g++ -std=c++20 -O3 -pthread -I ../include -I "$include" keep.cpp ../src/*.cpp -o keep && ./keep
#include "../src/allocmark_table.hpp"

#include <allocmark/backend.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

const auto &table = *static_cast<const allocmark_backend *>(allocmark_turbomem_table("plain"));

struct row {
    unsigned threads;
    uint32_t keep, bulk;
    std::vector<double> samples{};
};

void fail(const char *what) {
    std::fprintf(stderr, "keep: %s\n", what);
    std::exit(1);
}

void pin(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) fail("cannot pin a thread");
}

double sample(void *pool, const row &r) {
    constexpr uint64_t objects = 4'000'000;
    const uint64_t rounds = objects / r.keep;
    std::vector<double> times(r.threads);
    std::barrier together(r.threads);
    auto work = [&](unsigned slot) {
        pin(slot);
        const allocmark_thread me{sizeof me, slot, static_cast<int32_t>(slot), -1};
        void *local = nullptr;
        allocmark_error error;
        if (table.thread_enter(pool, &me, &local, &error) != 0) fail(error.message);
        std::vector<void *> held(r.keep);
        auto round = [&] {
            for (uint32_t i = 0; i < r.keep; i += r.bulk) {
                if (table.get_bulk(pool, local, &held[i], r.bulk) != 0) fail("the pool ran out");
            }
            for (uint32_t i = 0; i < r.keep; i += r.bulk) table.put_bulk(pool, local, &held[i], r.bulk);
        };
        for (uint64_t i = 0; i < rounds / 8; ++i) round();
        together.arrive_and_wait();
        const auto start = std::chrono::steady_clock::now();
        for (uint64_t i = 0; i < rounds; ++i) round();
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
        times[slot] = took.count() / static_cast<double>(rounds * r.keep);
        table.thread_leave(pool, local);
    };
    {
        std::vector<std::jthread> threads;
        for (unsigned slot = 0; slot < r.threads; ++slot) threads.emplace_back(work, slot);
    }
    return *std::max_element(times.begin(), times.end());
}

} // namespace

int main() {
    const unsigned cores = std::thread::hardware_concurrency();
    std::vector<row> rows;
    for (unsigned threads : {1u, 2u}) {
        if (threads > cores) continue;
        for (uint32_t keep : {128u, 8192u}) {
            for (uint32_t bulk : {1u, 8u, 32u, 128u}) rows.push_back({threads, keep, bulk});
        }
    }

    allocmark_error error;
    allocmark_init init{};
    init.size = sizeof init;
    if (table.init(&init, &error) != 0) fail(error.message);
    allocmark_pool_spec spec{};
    spec.size = sizeof spec;
    spec.cache = 256;
    spec.name = "keep";
    spec.object_size = 2176;
    spec.objects = 65535;
    spec.working_set = 2 * 8192;
    spec.node = -1;
    spec.max_threads = 2;
    void *pool = nullptr;
    if (table.pool_create(&spec, &pool, &error) != 0) fail(error.message);

    for (int block = 0; block < 7; ++block) {
        for (row &r : rows) r.samples.push_back(sample(pool, r));
    }
    std::printf("%7s %6s %5s %10s\n", "threads", "keep", "bulk", "ns/object");
    for (row &r : rows) {
        std::sort(r.samples.begin(), r.samples.end());
        std::printf("%7u %6u %5u %10.2f\n", r.threads, r.keep, r.bulk, r.samples[r.samples.size() / 2]);
    }
    table.pool_destroy(pool);
    table.fini();
}
