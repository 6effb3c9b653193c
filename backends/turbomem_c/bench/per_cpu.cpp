// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds of processor time per object for one get and one put: through a thread's handle (slots), and
/// through calls that find the cache of the thread or of the CPU. One thread that stays on its CPU, and two
/// threads a CPU that may move. Prints "NAME NS"; per_cpu.py starts it for every round and makes tables.
///
///     per_cpu ROUND
#include "turbomem/per_cpu.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace turbomem;
using by_slot = pool<void>;
using by_thread = pool<void, threads::per_thread>;
using by_cpu = pool<void, threads::per_cpu>;

double cpu_time() {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// Calls, as through a table of functions: what a compiler makes of a loop around inlined code differs more
// from one compilation to the next than the sides do.
template <class Door> [[gnu::noinline, gnu::aligned(64)]] bool get(Door &d, void **objects, std::uint32_t n) {
    return d.try_allocate(std::span<void *>(objects, n));
}
template <class Door> [[gnu::noinline, gnu::aligned(64)]] void put(Door &d, void **objects, std::uint32_t n) {
    d.deallocate(std::span<void *const>(objects, n));
}

template <class Door> void bursts(Door &d, std::uint32_t keep, std::uint32_t n, std::uint32_t times) {
    std::vector<void *> held(keep);
    for (std::uint32_t t = 0; t < times; ++t) {
        for (std::uint32_t i = 0; i < keep; i += n) {
            if (!get(d, held.data() + i, n)) std::abort();
        }
        for (std::uint32_t i = 0; i < keep; i += n) put(d, held.data() + i, n);
    }
}

struct shape {
    unsigned threads;
    std::uint32_t keep, bulk;
};

template <class Pool> double sample(Pool &p, const shape &s) {
    const std::uint32_t times = (s.bulk == 1 ? 200'000 : 1'600'000) / s.keep;
    auto work = [&] {
        if constexpr (std::is_same_v<Pool, by_slot>) {
            auto mine = p.enter();
            bursts(mine, s.keep, s.bulk, times);
        } else {
            bursts(p, s.keep, s.bulk, times);
        }
    };
    const double begin = cpu_time();
    if (s.threads == 1) {
        const pin here(pin::allowed().front());
        work();
    } else {
        std::vector<std::jthread> all;
        for (unsigned t = 0; t < s.threads; ++t) all.emplace_back(work);
    }
    return (cpu_time() - begin) / times / s.keep / s.threads;
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 2) return std::fputs("usage: per_cpu ROUND\n", stderr), 1;
    const unsigned round = static_cast<unsigned>(std::atoi(argv[1]));
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
    if (cpu.threading_fallback() != nullptr)
        return std::fprintf(stderr, "per_cpu: %s\n", cpu.threading_fallback()), 1;
    for (const shape &s : shapes) {
        for (unsigned k = 0; k < 3; ++k) {
            const unsigned side = (k + round) % 3;
            const double ns = side == 0 ? sample(slot, s) : side == 1 ? sample(thread, s) : sample(cpu, s);
            const char *const names[] = {"slots", "per_thread", "per_cpu"};
            std::printf("%s/threads=%u,keep=%u,bulk=%u %.5f\n", names[side], s.threads, s.keep, s.bulk, ns);
        }
    }
}
