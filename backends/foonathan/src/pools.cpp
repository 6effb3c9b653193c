// SPDX-License-Identifier: BSD-3-Clause
/**
 * memory_pool of foonathan/memory behind its own adaptor for threads, whose lock is taken once for a bulk. It
 * would grow: here it has one block, with as many nodes as objects were asked for.
 */
#include <allocmark/backend.hpp>
#include <allocmark/slab.h>

#include <foonathan/memory/allocator_storage.hpp>
#include <foonathan/memory/memory_pool.hpp>

#include <array>
#include <stdexcept>
#include <string>

namespace {

namespace memory = foonathan::memory;

/** Where a pool takes its block from, for it to be populated, and known as the pool's region. */
class Block {
  public:
    Block(std::size_t bytes, allocmark_region &region) : bytes_(bytes), region_(&region) {}

    memory::memory_block allocate_block() {
        void *block = allocmark_written_memory(bytes_, 0);
        if (!block) throw std::bad_alloc();
        *region_ = {reinterpret_cast<std::uintptr_t>(block), bytes_};
        return {block, bytes_};
    }
    void deallocate_block(memory::memory_block block) noexcept { free(block.memory); }
    std::size_t next_block_size() const noexcept { return bytes_; }

  private:
    std::size_t bytes_;
    allocmark_region *region_;
};

template <class Type> class Pool {
    using Memory = memory::memory_pool<Type, Block>;

  public:
    explicit Pool(const allocmark_pool_spec &spec)
        : node_(node_bytes(spec)),
          pool_(Memory(node_, Memory::min_block_size(node_, spec.objects), region_)) {}

    bool get(void **objects, std::uint32_t n) {
        const auto pool = pool_.lock();
        for (std::uint32_t i = 0; i < n; ++i) {
            objects[i] = pool->try_allocate_node();
            if (objects[i]) continue;
            while (i > 0) pool->deallocate_node(objects[--i]); // all or nothing
            return false;
        }
        return true;
    }

    void put(void *const *objects, std::uint32_t n) {
        const auto pool = pool_.lock();
        for (std::uint32_t i = 0; i < n; ++i) pool->deallocate_node(objects[i]);
    }

    std::uint64_t available() const { return pool_.lock()->capacity_left() / node_; }

    std::array<allocmark_region, 1> regions() const { return {region_}; }

  private:
    static std::size_t node_bytes(const allocmark_pool_spec &spec) {
        allocmark_slab shape;
        allocmark_error error;
        if (spec.alignment > memory::detail::max_alignment)
            throw std::invalid_argument("alignment is " + std::to_string(spec.alignment) + "; nodes have " +
                                        std::to_string(memory::detail::max_alignment));
        if (allocmark_slab_shape(&shape, &spec, Memory::min_node_size, &error) != 0)
            throw std::length_error("too large");
        return shape.stride;
    }

    std::size_t node_;
    allocmark_region region_{};
    memory::thread_safe_allocator<Memory> pool_;
};

} // namespace

ALLOCMARK_BACKEND(foonathan_node, Pool<memory::node_pool>)
ALLOCMARK_BACKEND(foonathan_array, Pool<memory::array_pool>)
ALLOCMARK_BACKEND(foonathan_small_node, Pool<memory::small_node_pool>)

#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

extern "C" const char *allocmark_foonathan_version();

extern "C" const char *allocmark_foonathan_version() {
    return TEXT(FOONATHAN_MEMORY_VERSION_MAJOR) "." TEXT(FOONATHAN_MEMORY_VERSION_MINOR) "." TEXT(
        FOONATHAN_MEMORY_VERSION_PATCH);
}
