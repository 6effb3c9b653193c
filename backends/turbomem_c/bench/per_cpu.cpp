// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds of processor time per object for one get and one put: through a thread's handle (slots), and
/// through calls that find the cache of the thread or of the CPU. One thread that stays on its CPU, and two
/// threads a CPU that may move.
///
///     python samples.py per_cpu
#include "turbomem/per_cpu.hpp"
#include "common.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"

#include <span>
#include <thread>
#include <vector>

namespace {

using namespace turbomem;
using by_slot = pool<void>;
using by_thread = pool<void, threads::per_thread>;
using by_cpu = pool<void, threads::per_cpu>;

template <class Door> [[gnu::noinline, gnu::aligned(64)]] bool get(Door &d, void **objects, std::uint32_t n) {
    return d.try_allocate(std::span<void *>(objects, n));
}
template <class Door> [[gnu::noinline, gnu::aligned(64)]] void put(Door &d, void **objects, std::uint32_t n) {
    d.deallocate(std::span<void *const>(objects, n));
}

template <class Door> void work(Door &d, std::uint32_t keep, std::uint32_t n, std::uint32_t times) {
    std::vector<void *> held(keep);
    bursts(
        held.data(), keep, n, times, [&](void **o, std::uint32_t k) { return get(d, o, k); },
        [&](void **o, std::uint32_t k) { put(d, o, k); });
}

struct shape {
    unsigned threads;
    std::uint32_t keep, bulk;
};

template <class Pool> double sample(Pool &p, const shape &s) {
    const std::uint32_t times = (s.bulk == 1 ? 200'000 : 1'600'000) / s.keep;
    auto run = [&] {
        if constexpr (std::is_same_v<Pool, by_slot>) {
            auto mine = p.enter();
            work(mine, s.keep, s.bulk, times);
        } else {
            work(p, s.keep, s.bulk, times);
        }
    };
    const double begin = cpu_time(CLOCK_PROCESS_CPUTIME_ID);
    if (s.threads == 1) {
        const pin here(pin::allowed().front());
        run();
    } else {
        std::vector<std::jthread> all;
        for (unsigned t = 0; t < s.threads; ++t) all.emplace_back(run);
    }
    return (cpu_time(CLOCK_PROCESS_CPUTIME_ID) - begin) / times / s.keep / s.threads;
}

} // namespace

int main(int argc, char **argv) {
    const int round = round_of(argc, argv);
    const unsigned many = 2 * static_cast<unsigned>(pin::allowed().size());
    std::vector<shape> shapes;
    for (std::uint32_t keep : {128u, 8192u}) {
        for (std::uint32_t bulk : {1u, 8u, 32u}) shapes.push_back({1, keep, bulk});
    }
    for (std::uint32_t bulk : {1u, 8u, 32u}) shapes.push_back({many, 8192, bulk});
    const pool_options options{.object_size = 64, .objects = 8192ull * many + 8192, .max_threads = many};
    by_slot slot(options);
    by_thread thread(options);
    by_cpu cpu(options);
    if (cpu.threading_fallback() != nullptr) fail(cpu.threading_fallback());
    for (const shape &s : shapes) {
        for (int k = 0; k < 3; ++k) {
            const int side = (k + round) % 3;
            const double ns = side == 0 ? sample(slot, s) : side == 1 ? sample(thread, s) : sample(cpu, s);
            const char *const names[] = {"slots", "per_thread", "per_cpu"};
            std::printf("%d %s/threads=%u,keep=%u,bulk=%u %.5f\n", round, names[side], s.threads, s.keep,
                        s.bulk, ns);
        }
    }
}
