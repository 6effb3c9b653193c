// SPDX-License-Identifier: BSD-3-Clause
/// Which thread has which cache of one exchange.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace turbomem::detail {

/// A hash table from threads to caches. It belongs to the exchange, so it is right whatever shared objects
/// the calls come from, and its cost does not depend on how many pools a thread uses.
///
/// An entry belongs to the thread that claimed it, until that thread frees it. Nobody else reads the cache in
/// it, so most accesses are relaxed: a thread sees its own stores in order, and so do its signal handlers.
/// Freeing is a release and claiming an acquire, so that what the next thread stores comes later. Nobody
/// waits for another thread.
class owner_table {
    struct alignas(2 * sizeof(void *)) entry {
        std::atomic<std::uintptr_t> thread{free};
        std::atomic<void *> cache{nullptr};
    };
    static constexpr std::uintptr_t free = 0;  ///< no thread has it
    static constexpr std::uintptr_t dead = 1;  ///< its thread is not in this process any more
    static constexpr std::uintptr_t taken = 2; ///< a thread is about to write the cache

  public:
    static constexpr std::uint32_t nowhere = UINT32_MAX;

    /// For as many threads as there are slots. At most a quarter of the entries is in use, so that most
    /// threads find their cache at the first look. Throws std::bad_alloc.
    explicit owner_table(std::uint32_t slots)
        : mask_(std::bit_ceil(4 * std::max(slots, 2u)) - 1),
          entries_(std::make_unique<entry[]>(mask_ + std::size_t{1})) {}

    /// What a first look needs, for whoever wants it near at hand. The table outlives it.
    class first_look {
      public:
        explicit first_look(const owner_table &in) noexcept
            : entries_(reinterpret_cast<const std::byte *>(in.entries_.get())),
              mask_(in.mask_ * sizeof(entry)) {}

        /// Whether the thread's entry is where the search begins; `cache` is set, and not null, only then.
        [[gnu::always_inline]] bool find(std::uintptr_t thread, void *&cache) const noexcept {
            static_assert(sizeof(entry) == 1 << scale);
            const auto &e = *reinterpret_cast<const entry *>(entries_ + (product(thread) >> spare & mask_));
            if (e.thread.load(std::memory_order_relaxed) != thread) [[unlikely]]
                return false;
            cache = e.cache.load(std::memory_order_relaxed);
            return true;
        }

      private:
        const std::byte *entries_;
        std::uint64_t mask_; ///< of offsets in bytes
    };

    /// The thread's cache if it is within the first few entries of the search, else null.
    void *find_nearby(std::uintptr_t thread) const noexcept {
        for (std::uint32_t i = 0; i < nearby; ++i) {
            if (void *const cache = find_at(home(thread) + i, thread)) return cache;
        }
        return nullptr;
    }

    /// The thread's cache if its entry is the one with that index, else null.
    void *find_at(std::uint32_t index, std::uintptr_t thread) const noexcept {
        const entry &e = entries_[index & mask_];
        return e.thread.load(std::memory_order_relaxed) == thread ? e.cache.load(std::memory_order_relaxed)
                                                                  : nullptr;
    }

    /// The index of the thread's new entry. `nowhere`: there is no room, which means more caches than slots.
    std::uint32_t insert(std::uintptr_t thread, void *cache) noexcept {
        for (std::uint32_t i = 0; i <= mask_; ++i) {
            const std::uint32_t index = (home(thread) + i) & mask_;
            entry &e = entries_[index];
            std::uintptr_t none = free;
            if (!e.thread.compare_exchange_strong(none, taken, std::memory_order_acquire,
                                                  std::memory_order_relaxed))
                continue;
            e.cache.store(cache, std::memory_order_relaxed);
            std::atomic_signal_fence(
                std::memory_order_release); // a handler that finds the thread finds the cache
            e.thread.store(thread, std::memory_order_relaxed);
            return index;
        }
        return nowhere;
    }

    /// The thread's entry is free again. `index` as insert() gave it, or `nowhere`: nearby. Its cache; null:
    /// it has none there.
    void *remove(std::uintptr_t thread, std::uint32_t index) noexcept {
        const bool known = index != nowhere;
        for (std::uint32_t i = 0; i < (known ? 1 : nearby); ++i) {
            entry &e = entries_[((known ? index : home(thread)) + i) & mask_];
            if (e.thread.load(std::memory_order_relaxed) != thread) continue;
            void *const cache = e.cache.load(std::memory_order_relaxed);
            e.thread.store(free, std::memory_order_release);
            return cache;
        }
        return nullptr;
    }

    /// In a child of fork, before it has a second thread: every thread but one is dead, and its number may be
    /// a new thread's. The first says so, the second acts on it, once.
    void lose_others() noexcept { others_lost_ = true; }
    void forget_lost(std::uintptr_t thread) noexcept {
        if (!std::exchange(others_lost_, false)) return;
        for (std::uint32_t i = 0; i <= mask_; ++i) {
            const std::uintptr_t found = entries_[i].thread.load(std::memory_order_relaxed);
            if (found == free || found == thread) continue;
            // A thread that had taken it had not written the cache: its slot stays in use.
            if (found != taken) entries_[i].thread.store(dead, std::memory_order_relaxed);
            any_dead_.store(true, std::memory_order_relaxed);
        }
    }

    /// Calls `leave` for the caches of dead threads, each once, and frees their entries.
    template <class Leave> void bury(Leave leave) noexcept {
        if (!any_dead_.load(std::memory_order_relaxed) ||
            !any_dead_.exchange(false, std::memory_order_relaxed))
            return;
        for (std::uint32_t i = 0; i <= mask_; ++i) {
            entry &e = entries_[i];
            if (e.thread.load(std::memory_order_relaxed) != dead) continue;
            leave(e.cache.load(std::memory_order_relaxed));
            e.thread.store(free, std::memory_order_release);
        }
    }

  private:
    static constexpr std::uint32_t nearby = 8;

    static constexpr unsigned scale = 4;  ///< log2 of an entry's bytes
    static constexpr unsigned spare = 32; ///< bits of the product that tell threads apart less well

    /// A hash: its bits depend on all that tells control blocks apart, which often lie a power of two apart.
    static std::uint64_t product(std::uintptr_t thread) noexcept { return thread * 0x9e3779b97f4a7c15u; }
    /// Where the search for a thread begins, modulo the size.
    static std::uint32_t home(std::uintptr_t thread) noexcept {
        return static_cast<std::uint32_t>(product(thread) >> (spare + scale));
    }

    std::uint32_t mask_; ///< the size, a power of two, less 1
    std::unique_ptr<entry[]> entries_;
    std::atomic<bool> any_dead_{false};
    bool others_lost_ = false;
};

} // namespace turbomem::detail
