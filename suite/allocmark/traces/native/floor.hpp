// SPDX-License-Identifier: BSD-3-Clause
/** What a trace is played on to know the replay's own cost: it does next to nothing. */
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "allocmark/backend.h"

namespace allocmark {

/**
 * Each thread hands out a few pages of its own over and over, which so stay in its cache; an object that is
 * larger begins there, and goes on behind them. Not for a measured program: objects overlap.
 */
class Floor {
  public:
    /** Before the clock starts: the memory is there then, but for what only huge objects reach. */
    static bool begin(uint64_t largest) {
        const uint64_t bytes = kParts * kPart + largest;
        base_ = static_cast<char *>(
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (base_ == MAP_FAILED) return false;
        for (uint64_t at = 0; at < std::min(bytes, kMostPopulated); at += kPage) base_[at] = 1;
        return true;
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
    static constexpr uint64_t kPage = 4096, kPart = 4 * kPage, kParts = 256, kMostPopulated = 64 << 20;

    static void *take(size_t alignment, size_t n) {
        alignment = std::max<size_t>(alignment, 16);
        uint64_t at = (used_ + alignment - 1) & ~uint64_t(alignment - 1);
        if (at + n > kPart) at = 0;
        used_ = at + n;
        return part_ + at;
    }
    /** Threads share parts only where there are very many. */
    static char *next_part() {
        return base_ + parts_.fetch_add(1, std::memory_order_relaxed) % kParts * kPart;
    }

    inline static char *base_;
    inline static std::atomic<uint64_t> parts_{0};
    inline static thread_local char *const part_ = next_part();
    inline static thread_local uint64_t used_ = 0;
};

} // namespace allocmark
