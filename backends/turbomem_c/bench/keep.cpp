// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds per object for one get and one put through the allocmark table, as the engine calls it: each
/// thread takes `keep` objects in bulks of n and gives them all back. Beside it a bare stack of pointers,
/// which each thread has for itself and nothing checks: what is left of the cost there is the calls and the
/// copying, and no cache that hands out the last object put can be cheaper. Interleaved; medians.
///
///     include=$(python -c 'import allocmark; print(allocmark.get_include())')
///     g++ -std=c++20 -O3 -pthread -I ../include -I "$include" keep.cpp ../src/*.cpp -o keep && ./keep
#include "../src/allocmark_table.hpp"
#include "turbomem/exchange/magazine.hpp"

#include <allocmark/backend.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

/// Of null pointers: nobody looks at them.
struct alignas(turbomem::no_sharing) bare_stack {
    std::size_t count;
    std::vector<void *> slots;

    static int create(const allocmark_pool_spec *, void **pool, allocmark_error *) {
        *pool = nullptr;
        return 0;
    }
    static void destroy(void *) {}
    static int enter(void *, const allocmark_thread *, void **local, allocmark_error *) {
        *local = new bare_stack{8192, std::vector<void *>(8192)};
        return 0;
    }
    static void leave(void *, void *local) { delete static_cast<bare_stack *>(local); }
    static int get_bulk(void *, void *local, void **objects, uint32_t n) {
        bare_stack &s = *static_cast<bare_stack *>(local);
        s.count -= n;
        if (n == 1)
            *objects = s.slots[s.count];
        else
            turbomem::copy_objects(objects, &s.slots[s.count], n);
        return 0;
    }
    static void put_bulk(void *, void *local, void *const *objects, uint32_t n) {
        bare_stack &s = *static_cast<bare_stack *>(local);
        if (n == 1)
            s.slots[s.count] = *objects;
        else
            turbomem::copy_objects(&s.slots[s.count], objects, n);
        s.count += n;
    }
};

constexpr allocmark_backend bare = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = [](const allocmark_init *, allocmark_error *) { return 0; },
    .pool_create = bare_stack::create,
    .pool_destroy = bare_stack::destroy,
    .thread_enter = bare_stack::enter,
    .thread_leave = bare_stack::leave,
    .get_bulk = bare_stack::get_bulk,
    .put_bulk = bare_stack::put_bulk,
    .fini = [] {},
    .available = nullptr,
    .regions = nullptr,
    .facts = nullptr,
};

constexpr std::array<const char *, 2> names = {"bare", "turbomem"};

struct row {
    unsigned threads;
    uint32_t keep, bulk;
    std::array<std::vector<double>, names.size()> samples{};
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

double sample(const allocmark_backend &table, void *pool, const row &r) {
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

    const std::array tables = {&bare,
                               static_cast<const allocmark_backend *>(allocmark_turbomem_table("plain"))};
    allocmark_error error;
    allocmark_init init{};
    init.size = sizeof init;
    allocmark_pool_spec spec{};
    spec.size = sizeof spec;
    spec.cache = 256;
    spec.name = "keep";
    spec.object_size = 2176;
    spec.objects = 65535;
    spec.working_set = 2 * 8192;
    spec.node = -1;
    spec.max_threads = 2;
    std::array<void *, names.size()> pools{};
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (tables[i]->init(&init, &error) != 0 || tables[i]->pool_create(&spec, &pools[i], &error) != 0)
            fail(error.message);
    }

    for (int block = 0; block < 11; ++block) {
        for (row &r : rows) {
            for (std::size_t i = 0; i < names.size(); ++i)
                r.samples[i].push_back(sample(*tables[i], pools[i], r));
        }
    }
    std::printf("%7s %6s %5s %10s %10s   ns/object\n", "threads", "keep", "bulk", names[0], names[1]);
    for (row &r : rows) {
        std::printf("%7u %6u %5u", r.threads, r.keep, r.bulk);
        for (std::vector<double> &of : r.samples) {
            std::sort(of.begin(), of.end());
            std::printf(" %10.3f", of[of.size() / 2]);
        }
        std::printf("\n");
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        tables[i]->pool_destroy(pools[i]);
        tables[i]->fini();
    }
}
