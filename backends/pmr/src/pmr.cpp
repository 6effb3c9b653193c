// SPDX-License-Identifier: BSD-3-Clause
/** The pool resources of the C++ standard library: each pool of a workload is a resource of its own. */
#include <allocmark/backend.hpp>

#include <memory_resource>

namespace {

template <class Resource> struct Heap {
    void *allocate(std::size_t bytes, std::size_t alignment) { return resource.allocate(bytes, alignment); }
    void deallocate(void *object, std::size_t bytes, std::size_t alignment) {
        resource.deallocate(object, bytes, alignment);
    }
    void put_all() { resource.release(); }
    void facts(const allocmark::Emit &emit) const {
        emit("max_blocks_per_chunk", resource.options().max_blocks_per_chunk);
        emit("largest_required_pool_block", resource.options().largest_required_pool_block);
    }
    Resource resource;
};

} // namespace

ALLOCMARK_BACKEND(pmr_synchronized, Heap<std::pmr::synchronized_pool_resource>)
ALLOCMARK_BACKEND(pmr_unsynchronized, Heap<std::pmr::unsynchronized_pool_resource>)
