// SPDX-License-Identifier: BSD-3-Clause
/// The loop of a packet-processing core: bulks through a handle of its own.
#include <turbomem/turbomem.hpp>

#include <array>
#include <cstdio>

int main() {
    turbomem::pool<void> buffers({.object_size = 2'176, .objects = 65'535, .max_threads = 2});
    auto mine = buffers.enter(0); // once a thread; leaves when it goes out of scope

    std::array<void *, 32> burst;
    long packets = 0;
    for (int round = 0; round < 1'000; ++round) {
        if (!mine.try_allocate(burst)) break; // all 32 or none
        packets += static_cast<long>(burst.size());
        mine.deallocate(burst);
    }

    // A run of calls with the state of the cache in registers.
    decltype(buffers)::session fast(mine);
    for (int round = 0; round < 1'000 && fast.try_allocate(burst); ++round) {
        packets += static_cast<long>(burst.size());
        fast.deallocate(burst);
    }
    std::printf("%ld packets\n", packets);
}
