// SPDX-License-Identifier: BSD-3-Clause
/** What a trace is played on: the malloc functions of a backend, or the floor's, which do next to nothing. */
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backend_table.hpp"
#include "traces.h"

namespace allocmark {

/**
 * The floor: objects lie one behind another in a piece of memory that is used over and over, and is as large
 * as the largest of them at least. Not for a measured program: they overlap.
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
