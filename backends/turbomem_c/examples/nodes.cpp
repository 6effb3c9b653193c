// SPDX-License-Identifier: BSD-3-Clause
/// A share of the pool on each NUMA node; a thread gets from its own, and what it frees goes home.
#include <turbomem/turbomem.hpp>

#include <cstdio>

int main() {
    const turbomem::topology nodes = turbomem::topology::system();
    turbomem::pool<void, turbomem::numa::by_node> buffers(
        {.object_size = 2'176, .objects = 16'384, .max_threads = 4});

    for (std::uint32_t node = 0; node < nodes.size(); ++node) {
        if (nodes[node].cpus.empty()) continue;
        const turbomem::pin here(nodes[node].cpus); // until the end of the block
        auto mine = buffers.enter();
        void *object = mine.allocate();
        std::printf("node %d: an object from share %u\n", nodes[node].id, buffers.memory().region_of(object));
        mine.deallocate(object);
    }
    const turbomem::pool_statistics s = buffers.statistics();
    std::printf("%lu shares, %lu objects got from another node\n", s.nodes, s.fallback_gets);
}
