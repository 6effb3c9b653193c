// SPDX-License-Identifier: BSD-3-Clause
/// Nanoseconds per object for one get and one put, through an exchange and through a numa_exchange of one
/// node: what the NUMA policies cost where there is nothing for them to do.
///
///     python samples.py one_node
#include "common.hpp"
#include "turbomem/exchange/numa_exchange.hpp"

#include <memory>
#include <random>
#include <vector>

namespace {

constexpr std::uint64_t objects = 16'384, stride = 256;
constexpr turbomem::exchange_options options{.objects = objects, .magazine = 256, .max_threads = 2};

template <class Cache>
[[gnu::noinline, gnu::aligned(64)]] bool get(Cache &c, void **objects, std::uint32_t n) {
    return c.get_bulk(objects, n);
}
template <class Cache>
[[gnu::noinline, gnu::aligned(64)]] void put(Cache &c, void *const *objects, std::uint32_t n) {
    c.put_bulk(objects, n);
}

template <class Cache>
double sample(Cache &c, std::vector<void *> &held, std::uint32_t keep, std::uint32_t n) {
    const std::uint32_t times = 400'000 * (n == 1 ? 1 : 8) / keep / 2;
    const double begin = cpu_time(CLOCK_THREAD_CPUTIME_ID);
    bursts(
        held.data(), keep, n, times, [&](void **o, std::uint32_t k) { return get(c, o, k); },
        [&](void *const *o, std::uint32_t k) { put(c, o, k); });
    return (cpu_time(CLOCK_THREAD_CPUTIME_ID) - begin) / times / keep;
}

} // namespace

int main(int argc, char **argv) {
    const int round = round_of(argc, argv);
    using namespace turbomem;
    const topology one = topology::pretend({{.id = 0}});
    const pin here(pin::allowed().front());
    const mapping memory(objects * stride, {.kind = page_kind::thp}, one, numa_mode::preferred);
    std::minstd_rand random(static_cast<unsigned>(round) + 1);
    // Where a cache comes to lie beside what it copies decides more than what is compared; so it lies
    // somewhere else in every round.
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
            for (int k = 0; k < 2; ++k) {
                const bool numa = (k + round) % 2 != 0;
                const double ns = numa ? sample(b, held, keep, n) : sample(a, held, keep, n);
                std::printf("%d %s/bulk=%u,keep=%u %.5f\n", round, numa ? "numa" : "plain", n, keep, ns);
            }
        }
    }
    nodes.leave(b);
    plain.leave(a);
}
