// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds per object for one get and one put, through an exchange and through a numa_exchange of one
/// node: what the NUMA policies cost where there is nothing for them to do. Prints "NAME NS";
/// one_node.py starts it for every round and makes tables.
///
///     one_node ROUND
#include "turbomem/exchange/numa_exchange.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <vector>

namespace {

constexpr std::uint64_t objects = 16'384, stride = 256;
constexpr turbomem::exchange_options options{.objects = objects, .magazine = 256, .max_threads = 2};

/// Nanoseconds this thread has run. Not the wall's: one thread alone is measured, and what others do
/// meanwhile is no part of it.
double cpu_time() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// Calls, as through a table of functions: what a compiler makes of a loop around inlined code differs more
// from one compilation to the next than the two sides do.
template <class Cache>
[[gnu::noinline, gnu::aligned(64)]] bool get(Cache &c, void **objects, std::uint32_t n) {
    return c.get_bulk(objects, n);
}
template <class Cache>
[[gnu::noinline, gnu::aligned(64)]] void put(Cache &c, void *const *objects, std::uint32_t n) {
    c.put_bulk(objects, n);
}

template <class Cache> void bursts(Cache &c, void **held, std::uint32_t keep, std::uint32_t n, int times) {
    for (int t = 0; t < times; ++t) {
        for (std::uint32_t i = 0; i < keep; i += n) {
            if (!get(c, held + i, n)) std::abort();
        }
        for (std::uint32_t i = 0; i < keep; i += n) put(c, held + i, n);
    }
}

template <class Cache>
double sample(Cache &c, std::vector<void *> &held, std::uint32_t keep, std::uint32_t n) {
    const int times = static_cast<int>(400'000 * (n == 1 ? 1 : 8) / keep / 2);
    const double begin = cpu_time();
    bursts(c, held.data(), keep, n, times);
    return (cpu_time() - begin) / times / keep;
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 2) return std::fputs("usage: one_node ROUND\n", stderr), 1;
    const unsigned round = static_cast<unsigned>(std::atoi(argv[1]));
    using namespace turbomem;
    const topology one = topology::pretend({{.id = 0}});
    const pin here(pin::allowed().front());
    const mapping memory(objects * stride, {.kind = page_kind::thp}, one, numa_mode::preferred);
    // Where a cache comes to lie beside what it copies decides more than what is compared; so it lies
    // somewhere else in every round.
    std::minstd_rand random(round + 1);
    const auto elsewhere = [&] { return std::make_unique<char[]>(random() % 8192); };
    const auto gap = elsewhere();
    exchange plain(options);
    const auto another = elsewhere();
    numa_exchange nodes(options, numa_mode::preferred, memory, stride, one);
    const auto third = elsewhere();
    std::vector<void *> held(8192);
    plain.stock(memory.data(), stride, objects);
    cache &a = plain.enter(0);
    numa_cache &b = nodes.enter(0);
    for (std::uint32_t keep : {128u, 8192u}) {
        for (std::uint32_t n : {1u, 32u}) {
            for (unsigned k = 0; k < 2; ++k) {
                const bool numa = (k + round) % 2 != 0;
                const double ns = numa ? sample(b, held, keep, n) : sample(a, held, keep, n);
                std::printf("%s/bulk=%u,keep=%u %.5f\n", numa ? "numa" : "plain", n, keep, ns);
            }
        }
    }
    nodes.leave(b);
    plain.leave(a);
}
