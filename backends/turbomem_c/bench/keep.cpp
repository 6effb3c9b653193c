// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds per object for one get and one put through the allocmark table, as the engine calls it: each
/// thread takes `keep` objects in bulks of n and gives them all back. Beside it a bare stack of pointers,
/// which each thread has for itself and nothing checks: what is left of the cost there is the calls and the
/// copying, and no cache that hands out the last object put can be cheaper. And the same stack with memcpy:
/// what copying is to cost.
///
///     python samples.py keep
#include "../src/allocmark_table.hpp"
#include "common.hpp"
#include "turbomem/exchange/magazine.hpp"
#include "turbomem/system/threads.hpp"

#include <allocmark/backend.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace {

void copy_by_turbomem(void **to, void *const *from, uint32_t n) {
    turbomem::copy_objects(to, from, n);
}
void copy_by_memcpy(void **to, void *const *from, uint32_t n) {
    std::memcpy(to, from, n * sizeof *to);
}

/// Of null pointers: nobody looks at them.
template <auto Copy> struct alignas(turbomem::no_sharing) bare_stack {
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
            Copy(objects, &s.slots[s.count], n);
        return 0;
    }
    static void put_bulk(void *, void *local, void *const *objects, uint32_t n) {
        bare_stack &s = *static_cast<bare_stack *>(local);
        if (n == 1)
            s.slots[s.count] = *objects;
        else
            Copy(&s.slots[s.count], objects, n);
        s.count += n;
    }
};

template <auto Copy>
constexpr allocmark_backend bare = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = [](const allocmark_init *, allocmark_error *) { return 0; },
    .pool_create = bare_stack<Copy>::create,
    .pool_destroy = bare_stack<Copy>::destroy,
    .thread_enter = bare_stack<Copy>::enter,
    .thread_leave = bare_stack<Copy>::leave,
    .get_bulk = bare_stack<Copy>::get_bulk,
    .put_bulk = bare_stack<Copy>::put_bulk,
    .fini = [] {},
    .available = nullptr,
    .regions = nullptr,
    .facts = nullptr,
    .trips = nullptr,
    .cached = nullptr,
};

constexpr std::array<const char *, 3> names = {"memcpy", "bare", "turbomem"};

struct shape {
    unsigned threads;
    uint32_t keep, bulk;
};

double sample(const allocmark_backend &table, void *pool, const shape &s) {
    constexpr uint64_t objects = 4'000'000;
    const uint64_t rounds = objects / s.keep;
    std::vector<double> times(s.threads);
    std::barrier together(s.threads);
    auto work = [&](unsigned slot) {
        const turbomem::pin here(static_cast<int>(slot));
        const allocmark_thread me{sizeof me, slot, static_cast<int32_t>(slot), -1};
        void *local = nullptr;
        allocmark_error error;
        if (table.thread_enter(pool, &me, &local, &error) != 0) fail(error.message);
        std::vector<void *> held(s.keep);
        auto run = [&](uint64_t turns) {
            bursts(
                held.data(), s.keep, s.bulk, turns,
                [&](void **o, uint32_t n) { return table.get_bulk(pool, local, o, n) == 0; },
                [&](void **o, uint32_t n) { table.put_bulk(pool, local, o, n); });
        };
        run(rounds / 8);
        together.arrive_and_wait();
        const auto start = std::chrono::steady_clock::now();
        run(rounds);
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
        times[slot] = took.count() / static_cast<double>(rounds * s.keep);
        table.thread_leave(pool, local);
    };
    {
        std::vector<std::jthread> threads;
        for (unsigned slot = 0; slot < s.threads; ++slot) threads.emplace_back(work, slot);
    }
    return *std::max_element(times.begin(), times.end());
}

} // namespace

int main(int argc, char **argv) {
    const int round = round_of(argc, argv);
    std::vector<shape> shapes;
    for (unsigned threads : {1u, 2u}) {
        if (threads > std::thread::hardware_concurrency()) continue;
        for (uint32_t keep : {128u, 8192u}) {
            for (uint32_t bulk : {1u, 8u, 32u, 128u}) shapes.push_back({threads, keep, bulk});
        }
    }

    const std::array tables = {&bare<copy_by_memcpy>, &bare<copy_by_turbomem>,
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

    for (const shape &s : shapes) {
        for (std::size_t i = 0; i < names.size(); ++i) {
            const double ns = sample(*tables[i], pools[i], s);
            std::printf("%d %s/threads=%u,keep=%u,bulk=%u %.5f\n", round, names[i], s.threads, s.keep, s.bulk,
                        ns);
        }
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        tables[i]->pool_destroy(pools[i]);
        tables[i]->fini();
    }
}
