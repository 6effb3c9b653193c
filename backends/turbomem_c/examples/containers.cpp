// SPDX-License-Identifier: BSD-3-Clause
/// Standard containers on pools: polymorphic, and by an allocator that is part of the type.
#include <turbomem/turbomem.hpp>

#include <cstdio>
#include <list>
#include <memory_resource>
#include <string>

int main() {
    // What no class serves comes from upstream, here the heap.
    turbomem::size_classes<> classes(turbomem::geometric_classes(64, 4'096, 2, 1 << 20));
    turbomem::memory_resource resource(classes);
    std::pmr::list<std::pmr::string> names(&resource);
    for (int i = 0; i < 1'000; ++i) names.emplace_back("a name that is too long for a small string");

    // From this pool and nowhere else: throws turbomem::exhausted when it is empty.
    turbomem::pool<void, turbomem::threads::per_thread> nodes({.object_size = 64, .objects = 10'000});
    std::list<long, turbomem::allocator<long, decltype(nodes)>> numbers(nodes);
    for (long i = 0; i < 1'000; ++i) numbers.push_back(i);

    std::printf("%zu names, %zu numbers, %lu nodes left\n", names.size(), numbers.size(), nodes.available());
}
