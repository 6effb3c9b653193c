// SPDX-License-Identifier: BSD-3-Clause
/// Seconds to create a pool of 1,048,576 objects of 2,176 bytes on 2 MB pages, TurboMem's ways and DPDK's in
/// turn; create.py reserves the pages.
#include "common.hpp"
#include "turbomem/pool.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <sched.h>

#include <array>
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr std::uint32_t objects = 1'048'576, object_size = 2176, cache = 256;

/// Memory that has been free for some seconds may be the host's again (free page reporting of a virtual
/// machine's balloon), and what is then measured is the host. So every creation comes right after the same
/// memory was in use.
void warm() {
    const std::size_t room = std::size_t{objects} * object_size * 9 / 8;
    const turbomem::mapping memory(room, turbomem::page_kind::thp);
}

/// Seconds that creating takes; destroying comes after the clock.
template <class Make> double timed(Make make) {
    warm();
    const auto begin = std::chrono::steady_clock::now();
    const auto made = make();
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(end - begin).count();
}

double turbomem_pool(turbomem::page_kind kind, unsigned threads) {
    using pool = turbomem::pool<void>;
    const turbomem::pool_options options{
        .object_size = object_size,
        .objects = objects,
        .magazine = cache,
        .max_threads = 2,
        .pages = {.kind = kind, .require = true, .populate_threads = threads},
    };
    return timed([&] { return std::make_unique<pool>(options); });
}

double turbomem_pages_alone() {
    const turbomem::page_options options{
        .kind = turbomem::page_kind::thp, .require = true, .populate_threads = 1};
    return timed([&] { return turbomem::mapping(std::size_t{objects} * object_size, options); });
}

double dpdk_pool() {
    struct free_mempool {
        void operator()(rte_mempool *pool) const { rte_mempool_free(pool); }
    };
    return timed([] {
        rte_mempool *pool = rte_mempool_create("create", objects, object_size, cache, 0, nullptr, nullptr,
                                               nullptr, nullptr, SOCKET_ID_ANY, 0);
        if (pool == nullptr) fail(rte_strerror(rte_errno));
        return std::unique_ptr<rte_mempool, free_mempool>(pool);
    });
}

void start_dpdk() {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::array<std::string, 6> arguments{"create",         "--no-pci",          "--in-memory",
                                         "--no-telemetry", "--log-level=error", "--iova-mode=va"};
    std::vector<char *> argv;
    for (std::string &a : arguments) argv.push_back(a.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) fail(rte_strerror(rte_errno));
    sched_setaffinity(0, sizeof allowed, &allowed); // DPDK pins its main lcore, and both shall have the same
}

} // namespace

int main(int argc, char **argv) {
    const int round = round_of(argc, argv);
    start_dpdk();
    using turbomem::page_kind;
    std::vector<std::pair<const char *, std::function<double()>>> ways{
        {"turbomem:thp", [] { return turbomem_pool(page_kind::thp, 0); }},
        {"turbomem:hugetlb_2m", [] { return turbomem_pool(page_kind::hugetlb_2m, 0); }},
        {"turbomem:thp-1-thread", [] { return turbomem_pool(page_kind::thp, 1); }},
        {"turbomem:hugetlb_2m-1-thread", [] { return turbomem_pool(page_kind::hugetlb_2m, 1); }},
        {"pages-alone-1-thread", turbomem_pages_alone},
        {"dpdk", dpdk_pool},
    };
    try {
        for (auto &[name, way] : ways) way(); // code, and the heap's pages
        for (std::size_t i = 0; i < ways.size(); ++i) {
            const auto &[name, way] = ways[(i + static_cast<std::size_t>(round)) % ways.size()];
            std::printf("%d %s %.6f\n", round, name, way());
            std::fflush(stdout);
        }
    } catch (const turbomem::error &e) {
        fail(e.what());
    }
}
