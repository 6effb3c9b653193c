// SPDX-License-Identifier: BSD-3-Clause
/// Buffers of mixed sizes: a pool a class, found by one look into a table.
#include <turbomem/turbomem.hpp>

#include <cstdio>

int main() {
    turbomem::size_classes<> buffers({{128, 8'191}, {640, 8'191}, {1'536, 8'191}});

    void *small = buffers.allocate(64);
    void *large = buffers.allocate(1'518);
    void *none = buffers.try_allocate(9'000); // no class is that large

    std::printf("64 bytes come from the class of %lu, 1518 from that of %lu, 9000 %s\n",
                buffers.of(64).options().object_size, buffers.of(1'518).options().object_size,
                none == nullptr ? "from none" : "from one");
    buffers.deallocate(small, 64);
    buffers.deallocate(large, 1'518);
}
