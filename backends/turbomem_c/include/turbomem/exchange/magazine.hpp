// SPDX-License-Identifier: BSD-3-Clause
/// Magazines: arrays of object pointers that change hands whole.
#pragma once

#include "turbomem/memory/metadata.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

namespace turbomem {

inline constexpr std::size_t cache_line = 64;
/// Two lines: the adjacent-line prefetcher of x86 makes neighbours share.
inline constexpr std::size_t no_sharing = 2 * cache_line;

/// Copy n object pointers between arrays that do not overlap. Forward and in blocks of a cache line or two,
/// which the compiler turns into wide moves; a call to memcpy costs more than it copies at these sizes.
/// Always inlined: a program with many pools would else get a call here.
[[gnu::always_inline]] inline void copy_objects(void **to, void *const *from, std::uint32_t n) noexcept {
    static_assert(cache_line == 8 * sizeof(void *));
    // Each size is a constant: moves, not a call. No lambda does it: in a large program the compiler inlines
    // one late, and then its captures stay on the stack, which doubles what 8 objects cost. The rest is
    // unlikely because bulks are multiples of 8.
#ifdef __AVX__
    // Half a line at a time, whatever the compiler takes for this processor by itself: 16 bytes at a time
    // cost twice as much on Zen 3, 64 cost a tenth more on Zen 4.
    using half = std::uint64_t __attribute__((vector_size(cache_line / 2)));
    for (; n >= 16; n -= 16, to += 16, from += 16) {
        half a, b, c, d;
        std::memcpy(&a, from, sizeof a);
        std::memcpy(&b, from + 4, sizeof b);
        std::memcpy(&c, from + 8, sizeof c);
        std::memcpy(&d, from + 12, sizeof d);
        asm("" : "+x"(b), "+x"(d)); // clang would make one move of two
        std::memcpy(to, &a, sizeof a);
        std::memcpy(to + 4, &b, sizeof b);
        std::memcpy(to + 8, &c, sizeof c);
        std::memcpy(to + 12, &d, sizeof d);
    }
    if (n & 8) {
        std::memcpy(to, from, 4 * sizeof(void *));
        std::memcpy(to + 4, from + 4, 4 * sizeof(void *));
        to += 8;
        from += 8;
    }
#else
    for (; n >= 8; n -= 8, to += 8, from += 8) std::memcpy(to, from, 8 * sizeof(void *));
#endif
    if (n & 4) [[unlikely]] {
        std::memcpy(to, from, 4 * sizeof(void *));
        to += 4;
        from += 4;
    }
    if (n & 2) [[unlikely]] {
        std::memcpy(to, from, 2 * sizeof(void *));
        to += 2;
        from += 2;
    }
    if (n & 1) [[unlikely]]
        *to = *from;
}

/// A number that its owner writes and others may look at: an atomic whose accesses are all relaxed. Whoever
/// relies on it has it ordered by something else.
template <class T> class relaxed {
  public:
    relaxed(T value = 0) noexcept : value_(value) {}
    relaxed(const relaxed &other) noexcept : value_(T{other}) {}
    relaxed &operator=(const relaxed &other) noexcept { return *this = T{other}; }
    relaxed &operator=(T value) noexcept {
        value_.store(value, std::memory_order_relaxed);
        return *this;
    }
    relaxed &operator+=(T more) noexcept { return *this = static_cast<T>(*this + more); }
    relaxed &operator-=(T less) noexcept { return *this = static_cast<T>(*this - less); }
    /// Where several write it.
    void add(T more) noexcept { value_.fetch_add(more, std::memory_order_relaxed); }
    operator T() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<T> value_;
};

/// The header; the slots follow it. Whoever holds the magazine owns all of it but `next`; others may look at
/// the count.
struct alignas(cache_line) magazine {
    /// The magazine below in a stack (an index; 0: none). Atomic because a thread that lost the race for the
    /// head may still read it while the winner, who now owns the magazine, writes it.
    std::atomic<std::uint32_t> next{0};
    std::atomic<std::uint32_t> depth{0}; ///< magazines in the stack from this one down, while it is in one
    std::uint32_t index = 0;             ///< this magazine's own, from 1
    relaxed<std::uint32_t> count; ///< objects in slots()[0 .. count); stale while a cache has it loaded
    std::uint32_t user = 0;       ///< the thread that had it last

    void **slots() noexcept { return reinterpret_cast<void **>(this + 1); }
};

/// Whether the objects that gets take next lie close together: eight of them within sixteen times the least
/// distance of two. Of objects in random order about one magazine in thirty looks like that.
inline bool holds_neighbours(magazine &m) noexcept {
    constexpr std::uint32_t sample = 8;
    if (m.count < sample) return false;
    // Each with each, without a branch: sorting would guess wrong once or twice for each of them.
    std::array<std::uintptr_t, sample> at;
    std::uintptr_t lowest = UINTPTR_MAX, highest = 0, least = UINTPTR_MAX;
    for (std::uint32_t i = 0; i < sample; ++i) {
        at[i] = reinterpret_cast<std::uintptr_t>(m.slots()[m.count - 1 - i]);
        lowest = std::min(lowest, at[i]);
        highest = std::max(highest, at[i]);
        for (std::uint32_t k = 0; k < i; ++k)
            least = std::min(least, std::max(at[i], at[k]) - std::min(at[i], at[k]));
    }
    return (highest - lowest) / 16 <= least;
}

/// Start to bring the slots here from the core that used them last: one after the other, on demand, they cost
/// more than all the rest of an exchange. From the top, where gets begin.
inline void expect_reads(magazine &m, std::uint32_t capacity) noexcept {
    const auto *slots = reinterpret_cast<const std::byte *>(m.slots());
    for (std::size_t lines = (capacity * sizeof(void *) + cache_line - 1) / cache_line; lines != 0; --lines)
        __builtin_prefetch(slots + (lines - 1) * cache_line);
}

/// The same for slots that will be written, from the bottom, where puts begin.
inline void expect_writes(magazine &m, std::uint32_t capacity) noexcept {
    const auto *slots = reinterpret_cast<const std::byte *>(m.slots());
    for (std::size_t at = 0; at < capacity * sizeof(void *); at += cache_line) {
#if defined(__x86_64__)
        // For x86 the compiler has only prefetches to read unless told the processor: the first write would
        // ask for the line a second time.
        asm volatile("prefetchw %0" : : "m"(slots[at]));
#else
        __builtin_prefetch(slots + at, 1);
#endif
    }
}

/// Every magazine of a pool, in memory of their own; indices from 1 to size(). A fresh one, which was never
/// used, takes no memory unless that is populated: bytes from the first magazine on.
class magazine_array {
  public:
    /// Throws out_of_memory.
    magazine_array(std::uint32_t magazines, std::uint32_t capacity, std::uint64_t populated)
        : size_(magazines), stride_(stride(capacity)), memory_(stride_ * magazines, populated) {}

    /// The indices of fresh magazines, as many as `out` has room for or there are; how many. They are the
    /// caller's, and empty. When it is 0 once, it is 0 for good. Lock-free.
    std::size_t take_fresh(std::span<std::uint32_t> out) noexcept {
        // relaxed: a magazine becomes another thread's business when it is pushed.
        std::uint32_t first = fresh_.load(std::memory_order_relaxed), n;
        do {
            n = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), size_ - first));
            if (n == 0) return 0;
        } while (!fresh_.compare_exchange_weak(first, first + n, std::memory_order_relaxed));
        for (std::uint32_t i = 0; i < n; ++i) {
            out[i] = first + i + 1;
            // Untouched memory is zero, and so an empty magazine. Nothing is constructed in it: a thread that
            // lost a race may come by another magazine's link, and read this one's.
            (*this)[out[i]].index = out[i];
        }
        return n;
    }
    /// How many there are.
    std::uint32_t fresh() const noexcept {
        return size_ - fresh_.load(std::memory_order_relaxed);
    } // relaxed: as above

    magazine &operator[](std::uint32_t index) const noexcept {
        return *reinterpret_cast<magazine *>(memory_.data() + stride_ * (index - 1));
    }
    std::uint32_t size() const noexcept { return size_; }

    /// Bytes from one magazine to the next; whole cache lines, so that no two magazines share one.
    static constexpr std::size_t stride(std::uint32_t capacity) noexcept {
        const std::size_t slots = std::size_t{capacity} * sizeof(void *);
        return sizeof(magazine) + (slots + cache_line - 1) / cache_line * cache_line;
    }

  private:
    std::uint32_t size_;
    std::size_t stride_;
    metadata memory_;
    alignas(no_sharing) std::atomic<std::uint32_t> fresh_{0}; ///< magazines that are not
};

/// Move as many objects as fit from one magazine into another.
inline void pour(magazine &from, magazine &to, std::uint32_t capacity) noexcept {
    const std::uint32_t n = std::min<std::uint32_t>(from.count, capacity - to.count);
    from.count -= n;
    copy_objects(to.slots() + to.count, from.slots() + from.count, n);
    to.count += n;
}

} // namespace turbomem
