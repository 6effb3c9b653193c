// SPDX-License-Identifier: BSD-3-Clause
/// A run of gets and puts of one thread with the cache's state in registers.
#pragma once

#include "turbomem/exchange/cache.hpp"

#include <cstdint>

namespace turbomem {

/// One long call, as far as other threads can tell: what is cached can be reclaimed again when the session
/// ends, so let it span a burst, not a thread's life. Meanwhile the cache itself is not to be used.
///
///     cache_session s(mine);
///     for (…) if (s.get_bulk(&object, 1)) …
class cache_session {
  public:
    explicit cache_session(cache &c) noexcept : cache_(c) {
        c.open(c.count_.load(std::memory_order_relaxed)); // relaxed: written by this thread
        refresh();
    }
    ~cache_session() {
        cache_.here_ = count_;
        cache_.close();
    }
    cache_session(const cache_session &) = delete;
    cache_session &operator=(const cache_session &) = delete;

    /// As the cache's, with the same progress.
    [[nodiscard]] bool get_bulk(void **objects, std::uint32_t n) noexcept {
        if (n > count_) [[unlikely]]
            return get_slowly(objects, n);
        count_ -= n;
        copy_objects(objects, slots_ + count_, n);
        return true;
    }
    void put_bulk(void *const *objects, std::uint32_t n) noexcept {
        if (n > limit_ - count_) [[unlikely]]
            return put_slowly(objects, n);
        copy_objects(slots_ + count_, objects, n);
        count_ += n;
    }
    /// As far as objects are found, one by one at the end: how many.
    [[nodiscard]] std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
        if (get_bulk(objects, n)) return n;
        std::uint32_t got = 0;
        while (got < n && get_bulk(objects + got, 1)) ++got;
        return got;
    }

    /// metering::calls.
    void count_get(std::uint32_t n) noexcept { cache_.count_get(n); }
    void count_put(std::uint32_t n) noexcept { cache_.count_put(n); }

  private:
    // Static, so that this object's address stays unknown and its members in registers.
    [[gnu::noinline]] static bool get_beyond(cache &c, void **objects, std::uint32_t n,
                                             std::uint32_t count) noexcept {
        c.here_ = count;
        return c.get_open(objects, n);
    }
    [[gnu::noinline]] static void put_beyond(cache &c, void *const *objects, std::uint32_t n,
                                             std::uint32_t count) noexcept {
        c.here_ = count;
        c.put_open(objects, n);
    }

    bool get_slowly(void **objects, std::uint32_t n) noexcept {
        const bool got = get_beyond(cache_, objects, n, count_);
        refresh();
        return got;
    }
    void put_slowly(void *const *objects, std::uint32_t n) noexcept {
        put_beyond(cache_, objects, n, count_);
        refresh();
    }

    void refresh() noexcept {
        slots_ = cache_.slots_;
        count_ = cache_.here_;
        limit_ = cache_.room_;
    }

    cache &cache_;
    void **slots_;
    std::uint32_t count_; ///< objects in the loaded magazine
    std::uint32_t limit_; ///< objects that fit into it
};

} // namespace turbomem
