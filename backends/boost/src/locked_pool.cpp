// SPDX-License-Identifier: BSD-3-Clause
/** boost::pool behind a mutex. It would grow: here it has one block, with as many objects as were asked for.
 */
#include <allocmark/backend.hpp>
#include <allocmark/slab.h>

#include <boost/pool/pool.hpp>
#include <boost/version.hpp>

#include <array>
#include <mutex>
#include <stdexcept>

namespace {

/** Where boost::pool takes its block from. `last` is the newest: pools are made by one thread at a time. */
struct Blocks {
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    static char *malloc(size_type bytes) {
        last = {.memory = static_cast<char *>(allocmark_written_memory(bytes, alignment)),
                .stride = bytes,
                .objects = 1};
        return last.memory;
    }
    static void free(char *block) { ::free(block); }
    static inline std::uint64_t alignment;
    static inline allocmark_slab last;
};

template <bool kOrdered> class LockedPool {
  public:
    explicit LockedPool(const allocmark_pool_spec &spec)
        : left_(spec.objects), pool_(object_bytes(spec), spec.objects, spec.objects) {
        void *first = pool_.malloc();
        if (!first) throw std::bad_alloc();
        put_one(first);
        block_ = Blocks::last;
    }

    bool get(void **objects, std::uint32_t n) {
        const std::lock_guard lock(mutex_);
        if (left_ < n) return false;
        for (std::uint32_t i = 0; i < n; ++i) objects[i] = pool_.malloc();
        left_ -= n;
        return true;
    }

    void put(void *const *objects, std::uint32_t n) {
        const std::lock_guard lock(mutex_);
        for (std::uint32_t i = 0; i < n; ++i) put_one(objects[i]);
        left_ += n;
    }

    std::uint64_t available() const { return left_; }

    std::array<allocmark_region, 1> regions() const { return {allocmark_slab_region(&block_)}; }

  private:
    static std::size_t object_bytes(const allocmark_pool_spec &spec) {
        allocmark_slab shape;
        allocmark_error error;
        if (allocmark_slab_shape(&shape, &spec, 0, &error) != 0) throw std::length_error("too large");
        Blocks::alignment = spec.alignment;
        return shape.stride;
    }

    void put_one(void *object) {
        if constexpr (kOrdered)
            pool_.ordered_free(object); // as boost::object_pool does
        else
            pool_.free(object);
    }

    std::mutex mutex_;
    std::uint64_t left_;
    boost::pool<Blocks> pool_;
    allocmark_slab block_;
};

} // namespace

ALLOCMARK_BACKEND(boost_pool, LockedPool<false>)
ALLOCMARK_BACKEND(boost_pool_ordered, LockedPool<true>)

extern "C" const char *allocmark_boost_version();

extern "C" const char *allocmark_boost_version() {
    return BOOST_LIB_VERSION;
}
