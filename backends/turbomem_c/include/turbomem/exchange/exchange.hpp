// SPDX-License-Identifier: BSD-3-Clause
/// Objects that somebody else owns, moved between threads: a depot of magazines and one cache per thread.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/exchange/cache.hpp"
#include "turbomem/exchange/cache_session.hpp"
#include "turbomem/exchange/depot.hpp"
#include "turbomem/memory/metadata.hpp"
#include "turbomem/memory/room.hpp"
#include "turbomem/system/threads.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

namespace turbomem {

/// What an exchange is to be.
struct exchange_options {
    std::uint64_t objects = 0;     ///< most that will ever be in it, 1 to 2^32 - 2
    std::uint32_t magazine = 256;  ///< objects in a magazine, at least 1
    std::uint32_t max_threads = 1; ///< slots: threads that may be entered at once, 1 to 65,536
    bool caching = true;           ///< else nothing stays with a thread between two calls
    /// Bytes of magazines that are backed by memory at once; the others when they are first used.
    std::uint64_t populated = UINT64_MAX;
    /// With one-way flow, objects between a put and the next get of the same one. 0: see one_way_distance.
    std::uint32_t distance = 0;
};

/// Create and destroy with no other thread about. Everything else runs concurrently, without a lock and
/// without waiting for another thread.
///
/// A thread may die without leaving: what it cached is found by the others, and its slot is free again when
/// somebody who knows of the death calls leave() in its place. After fork the child may go on with its copy:
/// the threads that it lacks have died there, in that sense.
///
/// Cache is what a thread works through: `cache`, or a class derived from it.
template <class Cache = cache> class basic_exchange {
  public:
    static_assert(std::is_trivially_destructible_v<Cache>);

    using cache_type = Cache;
    static constexpr std::uint32_t max_slots = 1u << 16;

    /// Throws invalid_options, out_of_memory.
    explicit basic_exchange(const exchange_options &options)
        : options_(affordable(options)),
          depot_(static_cast<std::uint32_t>(options_.objects), options_.magazine, options_.max_threads,
                 options_.populated, options_.distance),
          memory_(options_.max_threads * sizeof(Cache), 0),
          caches_(reinterpret_cast<Cache *>(memory_.data())), group_{depot_, caches_, sizeof(Cache)} {}

    basic_exchange(const basic_exchange &) = delete;
    basic_exchange &operator=(const basic_exchange &) = delete;

    /// Bytes of memory that an exchange of these options takes. Throws invalid_options.
    static std::uint64_t bytes_for(const exchange_options &options) {
        const exchange_options o = checked(options);
        return depot::bytes_for(o.objects, o.magazine, o.max_threads) + o.max_threads * sizeof(Cache);
    }

    /// Fill it with the objects at start, start + stride, …; once, before any thread enters.
    void stock(std::byte *start, std::size_t stride, std::uint64_t n) noexcept {
        depot_.stock(start, stride, n);
    }

    /// The calling thread takes a slot. Lock-free. Throws invalid_slot: EINVAL, EBUSY.
    [[nodiscard]] Cache &enter(std::uint32_t slot) {
        if (slot >= options_.max_threads)
            throw invalid_slot(EINVAL, "slot " + std::to_string(slot) + " of a pool made for " +
                                           std::to_string(options_.max_threads) + " threads");
        if (!enter_if_free(slot))
            throw invalid_slot(EBUSY, "slot " + std::to_string(slot) + " is in use by another thread");
        return caches_[slot];
    }

    /// The first slot that is free; null: none is. Lock-free.
    [[nodiscard]] Cache *try_enter() noexcept {
        for (std::uint32_t slot = 0; slot < options_.max_threads; ++slot) {
            if (enter_if_free(slot)) return &caches_[slot];
        }
        return nullptr;
    }
    /// The first slot that is free; when none is, as a guest. Lock-free but for memory. Throws
    /// std::bad_alloc.
    [[nodiscard]] Cache &enter() {
        Cache *const c = try_enter();
        return c != nullptr ? *c : enter_as_guest();
    }
    /// Without a slot: the cache keeps nothing between two calls, so each goes by the depot. It is the
    /// thread's own until it leaves, as any other. Throws std::bad_alloc.
    [[nodiscard]] Cache &enter_as_guest() {
        auto c = std::make_unique<Cache>();
        attach(*c);
        return *c.release();
    }

    /// The slot that a cache of this exchange is in, and the cache in a slot.
    std::uint32_t slot_of(const Cache &c) const noexcept { return static_cast<std::uint32_t>(&c - caches_); }
    Cache &in_slot(std::uint32_t slot) const noexcept { return caches_[slot]; }
    /// Whether a cache is that of a guest, who entered without a slot.
    bool is_guest(const Cache &c) const noexcept {
        const auto first = reinterpret_cast<std::uintptr_t>(caches_);
        return reinterpret_cast<std::uintptr_t>(&c) - first >= options_.max_threads * sizeof(Cache);
    }

    /// Give a slot up; what was cached goes to the depot. Lock-free. By the thread that entered, or, once
    /// that thread is gone, by one that knows so; what it had in the middle of a call is then lost.
    void leave(Cache &c) noexcept {
        static_cast<cache &>(c).leave();
        if (is_guest(c)) delete &c;
    }

    /// For threads that have not entered, any number of them: as the cache's, with nothing kept. Lock-free.
    [[nodiscard]] bool get_bulk(void **objects, std::uint32_t n) noexcept {
        cache guest;
        attach(guest);
        return guest.get_bulk(objects, n);
    }
    [[nodiscard]] bool get_or_restore(void **objects, std::uint32_t n) noexcept {
        cache guest;
        attach(guest);
        return guest.get_or_restore(objects, n);
    }
    /// `number` tells callers apart, as far as possible. That of the thread is in thread-local storage, which
    /// may have to be allocated first; with another one this is async-signal-safe.
    [[nodiscard]] std::uint32_t get_up_to(void **objects, std::uint32_t n,
                                          std::uint32_t number = detail::thread_number()) noexcept {
        cache guest;
        guest.attach_guest(group_, number);
        return guest.get_up_to(objects, n);
    }
    void put_bulk(void *const *objects, std::uint32_t n) noexcept {
        cache guest;
        attach(guest);
        guest.put_bulk(objects, n);
    }

    /// Objects in it, those in caches included. Exact while no thread is in a call, else an estimate. Reads a
    /// line of each shard and each slot that was ever entered; wait-free.
    std::uint64_t available() const noexcept { return std::min(group_.available(), options_.objects); }

    /// Of these, those in caches.
    std::uint64_t cached() const noexcept { return group_.cached(); }

    /// The fewest that were seen available, see low_water; looks itself. Wait-free.
    std::uint64_t least_available() const noexcept { return depot_.lowest().note(available()); }

    /// No slot from here on was ever entered.
    std::uint32_t reached() const noexcept {
        return group_.reached.load(std::memory_order_acquire); // acquire: the caches below it are in use
    }

    const exchange_options &options() const noexcept { return options_; }
    /// For a layer that exchanges whole magazines by itself.
    depot &shared() const noexcept { return group_.shared; }
    std::uint32_t magazines() const noexcept { return depot_.magazines(); }
    /// Most objects that one thread keeps between its calls.
    std::uint64_t cache_limit() const noexcept {
        return options_.caching ? 2 * std::uint64_t{options_.magazine} : 0;
    }
    /// Whether a get finds what idle threads cache. False where the kernel lacks membarrier.
    bool reclaims() const noexcept { return group_.barrier.available(); }
    /// What is in the depot, caches excluded. Exact while no thread is in a call.
    depot::census census() const noexcept { return depot_.count(); }
    /// Since it was made, of all threads. Exact while no thread is in a call.
    depot_counters counters() const noexcept {
        depot_counters sum = depot_.guests();
        for (std::uint32_t s = 0; s < reached(); ++s) sum += at(s).counters();
        return sum;
    }

    /// metering::calls, of a thread that has not entered. Wait-free.
    void count_get(std::uint32_t n) noexcept {
        depot_counters did;
        did.gets = 1;
        did.got = n;
        depot_.count_guest(depot_.visitor(detail::thread_number()), did);
    }
    void count_put(std::uint32_t n) noexcept {
        depot_counters did;
        did.puts = 1;
        did.put = n;
        depot_.count_guest(depot_.visitor(detail::thread_number()), did);
    }

  private:
    /// As the exchange sees it, whatever a derived class makes of it.
    cache &at(std::uint32_t slot) const noexcept { return caches_[slot]; }

    /// As it will be: a magazine that holds more than there are objects would only waste memory.
    static exchange_options checked(exchange_options o) {
        auto require = [](bool good, const char *what, std::uint64_t found, const char *expected) {
            if (!good)
                throw invalid_options(std::string(what) + " is " + std::to_string(found) + ", not " +
                                      expected);
        };
        require(o.objects != 0, "objects", o.objects, "at least 1");
        require(o.objects < UINT32_MAX, "objects", o.objects, "less than 2^32 - 1");
        require(o.magazine != 0 && o.magazine <= claim::most, "magazine", o.magazine, "1 to 2097151");
        require(o.max_threads != 0 && o.max_threads <= max_slots, "max_threads", o.max_threads, "1 to 65536");
        o.magazine = static_cast<std::uint32_t>(std::min<std::uint64_t>(o.magazine, o.objects));
        const std::uint64_t needed = magazines_needed(o.objects, o.magazine, o.max_threads);
        require(needed < UINT32_MAX, "objects", o.objects,
                "few enough for 2^32 magazines: take larger magazines");
        std::uint64_t bytes = 0;
        require(!__builtin_mul_overflow(needed, magazine_array::stride(o.magazine), &bytes) &&
                    bytes <= PTRDIFF_MAX / 4,
                "magazine", o.magazine, "addressable for that many threads: take smaller magazines");
        return o;
    }

    static exchange_options affordable(const exchange_options &options) {
        require_memory(bytes_for(options));
        return checked(options);
    }

    bool enter_if_free(std::uint32_t slot) noexcept {
        if (!at(slot).enter(group_, slot, options_.caching)) return false;
        // relaxed: the release below or another thread's is what a reclaimer acquires.
        std::uint32_t reached = group_.reached.load(std::memory_order_relaxed);
        while (reached <= slot &&
               // release: a reclaimer that looks at this slot finds the cache attached.
               !group_.reached.compare_exchange_weak(reached, slot + 1, std::memory_order_release,
                                                     std::memory_order_relaxed)) {
        }
        return true;
    }

    void attach(cache &guest) noexcept { guest.attach_guest(group_, detail::thread_number()); }

    exchange_options options_;
    depot depot_;
    metadata memory_; ///< of the caches: a cache that nobody entered is all zeros, and takes none
    Cache *caches_;
    cache_group group_;
};

using exchange = basic_exchange<>;

} // namespace turbomem
