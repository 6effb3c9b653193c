// SPDX-License-Identifier: BSD-3-Clause
/// A pool of fixed-size objects in one region of memory.
#pragma once

#include "turbomem/cache.hpp"
#include "turbomem/depot.hpp"
#include "turbomem/pages.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

namespace turbomem {

/// What a pool is to be. Sizes in bytes.
struct pool_options {
    std::uint64_t object_size = 0;        ///< at least 1
    std::uint64_t objects = 0;            ///< at least 1
    std::uint64_t alignment = cache_line; ///< a power of two, at most 2 MB
    std::uint32_t magazine = 256;         ///< objects in a magazine, at least 1; a thread caches up to two
    bool caching = true;                  ///< else nothing stays with a thread between two calls
    std::uint32_t max_threads = 1;        ///< slots: threads that may be entered at once
    page_kind pages = page_kind::thp;     ///< for the objects; magazines lie on base pages
};

/// The sizes that follow from the options; checked, so that nothing computed from them overflows.
struct pool_layout {
    std::uint64_t stride;       ///< bytes from one object to the next
    std::uint64_t region_bytes; ///< stride * objects
    std::uint32_t magazine;     ///< objects in a magazine
    std::uint32_t magazines;
    std::uint64_t total_bytes; ///< objects, magazines, shards and caches

    static constexpr std::uint32_t max_slots = 1u << 16;

    /// Throws invalid_options.
    explicit pool_layout(const pool_options &o) {
        auto require = [](bool good, const char *what, std::uint64_t found, const char *expected) {
            if (!good)
                throw invalid_options(std::string(what) + " is " + std::to_string(found) + ", not " +
                                      expected);
        };
        require(o.object_size != 0, "object_size", o.object_size, "at least 1");
        require(o.objects != 0, "objects", o.objects, "at least 1");
        require(std::has_single_bit(o.alignment) && o.alignment <= huge_page, "alignment", o.alignment,
                "a power of two up to 2 MB");
        require(o.magazine != 0, "magazine", o.magazine, "at least 1");
        require(o.max_threads != 0 && o.max_threads <= max_slots, "max_threads", o.max_threads, "1 to 65536");

        // More objects than a signed size can count cannot be addressed; the factor leaves room for
        // magazines.
        const std::uint64_t most = PTRDIFF_MAX / 4;
        require(o.object_size <= most - o.alignment, "object_size", o.object_size, "addressable");
        stride = (o.object_size + o.alignment - 1) & ~(o.alignment - 1);
        require(o.objects <= most / std::max<std::uint64_t>(stride, sizeof(magazine)), "objects", o.objects,
                "addressable at this object size");
        region_bytes = stride * o.objects;

        // A magazine that holds more than the pool would only waste memory.
        magazine = static_cast<std::uint32_t>(std::min<std::uint64_t>(o.magazine, o.objects));
        const std::uint64_t needed = magazines_needed(o.objects, magazine, o.max_threads);
        require(needed < UINT32_MAX, "objects", o.objects,
                "few enough for 2^32 magazines: take larger magazines");
        magazines = static_cast<std::uint32_t>(needed);
        std::uint64_t metadata = 0;
        require(!__builtin_mul_overflow(needed, magazine_array::stride(magazine), &metadata) &&
                    metadata <= most,
                "magazine", magazine, "addressable for that many threads: take smaller magazines");
        total_bytes = region_bytes + metadata + o.max_threads * (depot::bytes_per_slot + sizeof(cache));
    }
};

/// The pool: a region of objects, a depot of magazines, a cache a thread slot.
///
/// Create and destroy with no other thread about; every object is back and every thread has left before it is
/// destroyed. enter, leave and the cache's calls run concurrently. There is no lock and no wait for another
/// thread in any of them.
class pool {
  public:
    /// Throws invalid_options, out_of_memory, or error with the kernel's errno; nothing stays behind.
    explicit pool(const pool_options &options) : pool(options, pool_layout(options)) {}

    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;

    /// The calling thread takes a slot, 0 <= slot < max_threads. Lock-free. Throws invalid_slot.
    cache &enter(std::uint32_t slot) {
        if (slot >= options_.max_threads)
            throw invalid_slot(EINVAL, "slot " + std::to_string(slot) + " of a pool made for " +
                                           std::to_string(options_.max_threads) + " threads");
        if (!caches_[slot].enter(depot_, slot, options_.caching))
            throw invalid_slot(EBUSY, "slot " + std::to_string(slot) + " is in use by another thread");
        return caches_[slot];
    }

    /// The thread that entered gives its slot up; what it cached goes to the depot. Lock-free.
    void leave(cache &c) noexcept { c.leave(); }

    /// Objects in the pool, those in caches included. Exact while no thread is in a call; walks the depot.
    std::uint64_t available() const noexcept {
        std::uint64_t n = depot_.count().objects;
        for (std::uint32_t s = 0; s < options_.max_threads; ++s) n += caches_[s].objects();
        return n;
    }

    /// Every object lies in it; its size is rounded up to whole pages.
    const mapping &region() const noexcept { return region_; }

    const pool_options &options() const noexcept { return options_; }
    const pool_layout &layout() const noexcept { return layout_; }
    /// Most objects that one thread keeps from the others between its calls.
    std::uint64_t cached_at_most() const noexcept { return options_.caching ? 2ull * layout_.magazine : 0; }
    /// What is in the depot, caches excluded. Exact while no thread is in a call.
    depot::census census() const noexcept { return depot_.count(); }
    /// Since the pool was made, of all threads. Exact while no thread is in a call.
    depot_counters counters() const noexcept {
        depot_counters sum;
        for (std::uint32_t s = 0; s < options_.max_threads; ++s) {
            sum.exchanges += caches_[s].counters().exchanges;
            sum.steals += caches_[s].counters().steals;
        }
        return sum;
    }

  private:
    pool(const pool_options &options, const pool_layout &layout)
        : options_(options), layout_(layout), region_(affordable(layout), options.pages),
          depot_(options.objects, layout.magazine, options.max_threads),
          caches_(std::make_unique<cache[]>(options.max_threads)) {
        depot_.stock(region_.data(), layout.stride, options.objects);
    }

    static std::uint64_t affordable(const pool_layout &layout) {
        require_memory(layout.total_bytes);
        return layout.region_bytes;
    }

    pool_options options_;
    pool_layout layout_;
    mapping region_;
    depot depot_;
    std::unique_ptr<cache[]> caches_;
};

} // namespace turbomem
