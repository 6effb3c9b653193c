// SPDX-License-Identifier: BSD-3-Clause
/**
 * rml::pool of oneTBB with a fixed memory: each pool of a workload is a heap of its own, in a range of
 * addresses that is larger than it ever needs and of which it touches what it uses.
 */
#include <allocmark/backend.hpp>

#include <oneapi/tbb/scalable_allocator.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include <sys/mman.h>

namespace {

/** Addresses; the kernel gives memory where they are touched. */
class Range {
  public:
    explicit Range(std::size_t bytes)
        : start_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0)),
          bytes_(bytes) {
        if (start_ == MAP_FAILED) throw std::bad_alloc();
    }
    Range(const Range &) = delete;
    ~Range() { munmap(start_, bytes_); }
    void *start() const { return start_; }
    std::size_t bytes() const { return bytes_; }

  private:
    void *start_;
    std::size_t bytes_;
};

class FixedPool {
  public:
    explicit FixedPool(const allocmark_pool_spec &spec)
        : range_(range_bytes(spec)), aligned_(spec.alignment > kGiven) {
        const rml::MemPoolPolicy policy(give, nullptr, 0, true);
        if (rml::pool_create_v1(reinterpret_cast<std::intptr_t>(&range_), &policy, &pool_) != rml::POOL_OK)
            throw std::runtime_error("TBB did not make a memory pool");
    }
    FixedPool(const FixedPool &) = delete;
    ~FixedPool() { rml::pool_destroy(pool_); }

    void *allocate(std::size_t bytes, std::size_t alignment) {
        return aligned_ ? rml::pool_aligned_malloc(pool_, bytes, alignment) : rml::pool_malloc(pool_, bytes);
    }
    void deallocate(void *object) { rml::pool_free(pool_, object); }

    void put_all() { rml::pool_reset(pool_); }

    std::array<allocmark_region, 1> regions() const {
        return {allocmark_region{reinterpret_cast<std::uintptr_t>(range_.start()), range_.bytes()}};
    }

  private:
    static constexpr std::uint64_t kGiven = 8; // alignment of pool_malloc for any size

    /** Size classes waste up to a third, each thread has slabs of its own, and TBB keeps its tables here. */
    static std::size_t range_bytes(const allocmark_pool_spec &spec) {
        const std::uint64_t object = std::max(spec.object_size, spec.alignment) + 256;
        std::uint64_t bytes;
        if (__builtin_mul_overflow(object, 2 * (spec.objects + 1), &bytes) ||
            __builtin_mul_overflow(bytes, spec.max_threads + 1, &bytes) ||
            __builtin_add_overflow(bytes, std::uint64_t(64) << 20, &bytes))
            throw std::bad_alloc();
        return bytes;
    }

    /** TBB asks once. */
    static void *give(std::intptr_t range, std::size_t &bytes) {
        const Range &given = *reinterpret_cast<const Range *>(range);
        bytes = given.bytes();
        return given.start();
    }

    Range range_;
    bool aligned_;
    rml::MemoryPool *pool_ = nullptr;
};

} // namespace

ALLOCMARK_BACKEND(tbb_fixed_pool, FixedPool)
