// SPDX-License-Identifier: BSD-3-Clause
/// What small pools cost: resident memory, read back from the kernel.
#include "turbomem/per_cpu.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"

#include "check.hpp"
#include "turbomem/system/proc.hpp"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;

namespace {

constexpr std::uint64_t kilobyte = 1024;

std::uint64_t resident() {
    return detail::bytes_of("/proc/self/smaps_rollup", "Rss:").value();
}

/// Memory that each of n pools of so many objects takes, by itself and after every object was out.
template <class... Policies>
void each_takes_at_most(std::uint64_t most, std::uint64_t n, const pool_options &options, const char *what) {
    using small = pool<std::uint64_t, Policies...>;
    std::vector<std::unique_ptr<small>> pools;
    pools.reserve(n);
    const std::uint64_t before = resident();
    for (std::uint64_t i = 0; i < n; ++i) pools.push_back(std::make_unique<small>(options));
    const std::uint64_t made = (resident() - before) / n;
    std::vector<std::uint64_t *> objects(options.objects);
    for (auto &p : pools) {
        CHECK(p->try_allocate(objects));
        for (std::uint64_t *o : objects) *o = 1;
        p->deallocate(objects);
        CHECK(p->available() == options.objects);
    }
    const std::uint64_t used = (resident() - before) / n;
    std::printf("%s: %zu kB a pool when made, %zu kB when used, magazines of %zu\n", what,
                std::size_t{made / kilobyte}, std::size_t{used / kilobyte},
                std::size_t{pools[0]->statistics().magazine});
    CHECK(made <= most && used <= most);
}

/// One-way flow and threads that come and go take what they need, and no more than was announced.
void what_threads_need_comes_when_they_need_it() {
    pool<std::uint64_t> p({.objects = 4096, .alignment = 8, .max_threads = 32});
    const std::uint64_t before = resident();
    for (int i = 0; i < 64; ++i) {
        std::vector<decltype(p)::local> handles;
        for (int t = 0; t < 32; ++t) handles.push_back(p.enter());
        std::vector<std::uint64_t *> objects(100);
        for (std::size_t t = 0; t < 32; ++t) {
            CHECK(handles[t].try_allocate(objects));
            handles[(t + 1) % 32].deallocate(objects);
        }
    }
    CHECK(p.available() == 4096);
    CHECK(resident() - before <= 128 * kilobyte);
}

} // namespace

int main() {
    const pool_options sixteen{.objects = 16}, hundred{.objects = 100};
    pool_options many_threads = sixteen;
    many_threads.max_threads = 256;
    each_takes_at_most<>(16 * kilobyte, 1000, sixteen, "16 objects");
    each_takes_at_most<>(24 * kilobyte, 1000, many_threads, "16 objects, 256 threads");
    each_takes_at_most<threads::per_thread>(24 * kilobyte, 1000, sixteen, "16 objects, per thread");
    each_takes_at_most<threads::per_cpu>(24 * kilobyte, 1000, sixteen, "16 objects, per CPU");
    each_takes_at_most<>(64 * kilobyte, 1, hundred, "100 objects");
    what_threads_need_comes_when_they_need_it();
}
