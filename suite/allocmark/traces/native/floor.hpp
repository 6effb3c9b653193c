// SPDX-License-Identifier: BSD-3-Clause
/** What a trace is played on to know the replay's own cost: it does next to nothing. */
#pragma once

#include <sys/mman.h>

#include <algorithm>

#include "allocmark/backend.h"

namespace allocmark {

/**
 * Objects lie one behind another in a piece of memory that is used over and over, and is as large as the
 * largest of them at least. Not for a measured program: they overlap.
 */
class Floor {
  public:
    static bool begin(uint64_t largest) {
        bytes_ = kSmallest + largest + 2 * kLargestAlignment;
        base_ = static_cast<char *>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        return base_ != MAP_FAILED;
    }
    static allocmark_any_size functions() {
        allocmark_any_size made{};
        made.size = sizeof made;
        made.malloc = [](size_t n) { return take(16, n); };
        made.calloc = [](size_t n, size_t size) { return take(16, n * size); };
        made.realloc = [](void *, size_t n) { return take(16, n); };
        made.aligned = [](size_t alignment, size_t n) { return take(alignment, n); };
        made.free = [](void *) {};
        return made;
    }
    /** The same as pools. */
    static allocmark_backend pools() {
        allocmark_backend made{};
        made.abi = ALLOCMARK_ABI_VERSION;
        made.size = sizeof made;
        made.init = [](const allocmark_init *, allocmark_error *) { return 0; };
        made.pool_create = [](const allocmark_pool_spec *spec, void **pool, allocmark_error *) {
            *pool = new allocmark_pool_spec(*spec);
            return 0;
        };
        made.pool_destroy = [](void *pool) { delete static_cast<allocmark_pool_spec *>(pool); };
        made.thread_enter = [](void *, const allocmark_thread *, void **, allocmark_error *) { return 0; };
        made.thread_leave = [](void *, void *) {};
        made.get_bulk = [](void *pool, void *, void **objects, uint32_t n) {
            const auto &spec = *static_cast<const allocmark_pool_spec *>(pool);
            for (uint32_t i = 0; i < n; ++i) objects[i] = take(spec.alignment, spec.object_size);
            return 0;
        };
        made.put_bulk = [](void *, void *, void *const *, uint32_t) {};
        return made;
    }

  private:
    static constexpr uint64_t kSmallest = 1 << 18, kLargestAlignment = 1 << 21;

    static void *take(size_t alignment, size_t n) {
        alignment = std::min<size_t>(std::max<size_t>(alignment, 16), kLargestAlignment);
        uint64_t at = (used_ + alignment - 1) & ~uint64_t(alignment - 1);
        if (at + n > bytes_ - kLargestAlignment) at = 0;
        used_ = at + n;
        return base_ + at;
    }

    inline static char *base_;
    inline static uint64_t bytes_;
    inline static thread_local uint64_t used_ = 0;
};

} // namespace allocmark
