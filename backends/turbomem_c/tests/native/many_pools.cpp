// SPDX-License-Identifier: BSD-3-Clause
/// A thread goes round so many pools that it has not entered, and gets and puts an object in each: 20,000
/// times in all, or not at all. For whoever counts instructions.
#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"

#include <cstdlib>
#include <memory>
#include <vector>

int main(int, char **argv) {
    using pool = turbomem::pool<int, turbomem::threads::per_thread>;
    const auto n = static_cast<unsigned>(std::atoi(argv[1])),
               calls = static_cast<unsigned>(std::atoi(argv[2]));
    std::vector<std::unique_ptr<pool>> pools;
    for (unsigned i = 0; i < n; ++i)
        pools.push_back(std::make_unique<pool>(turbomem::pool_options{
            .objects = 16, .max_threads = 2, .pages = {.kind = turbomem::page_kind::base}}));
    for (const auto &p : pools) p->deallocate(p->allocate()); // the thread gets its caches
    for (unsigned i = 0; i < calls; ++i) {
        pool &p = *pools[i % n];
        p.deallocate(p.allocate());
    }
}
