// SPDX-License-Identifier: BSD-3-Clause
/// The depot: where threads leave whole magazines for each other.
#pragma once

#include "turbomem/magazine.hpp"
#include "turbomem/tagged_stack.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace turbomem {

/// What one thread did at the depot; written by that thread alone.
struct depot_counters {
    std::uint64_t exchanges = 0; ///< magazines taken out
    std::uint64_t steals = 0;    ///< of these, from another thread's shard
};

/// How many magazines a pool needs so that a thread that needs an empty one always finds one.
///
/// Count the magazines that cannot be empty ones in the depot, M objects each, N objects, T threads:
///   full ones, wherever they are                              <= floor(N / M)
///   partial ones in the depot                                 <= T      (see depot::retire)
///   others in the hands of T - 1 threads (loaded, previous,
///     and two more while collecting or merging partials)      <= 4 (T - 1)
///   others in the hands of the thread that wants one          <= 3
/// so   floor(N / M) + T + 4 (T - 1) + 3 + 1  =  floor(N / M) + 5 T   leave at least one.
constexpr std::uint64_t magazines_needed(std::uint64_t objects, std::uint64_t capacity,
                                         std::uint64_t threads) {
    return objects / capacity + 5 * threads;
}

/// One shard a thread slot, each with a stack of full and one of empty magazines. A thread pushes to its own
/// shard only and pops there first, so the compare-and-swap of an exchange is uncontended as long as what it
/// frees is what it takes; when its own shard is empty it steals from the others, so nothing is stranded in
/// them. Partly filled magazines are rare (threads that left, pools without caches) and share one stack.
///
/// Every operation is lock-free. None waits for another thread.
class depot {
    /// Both heads on one line: a thread that hands over a full magazine takes an empty one at once.
    struct alignas(no_sharing) shard {
        tagged_stack full, empty;
    };

  public:
    /// What a slot costs beside its magazines.
    static constexpr std::size_t bytes_per_slot = sizeof(shard);

    /// Throws as mapping does, and std::bad_alloc. All magazines start empty, in the shards in turn.
    depot(std::uint64_t objects, std::uint32_t capacity, std::uint32_t slots)
        : capacity_(capacity), slots_(slots),
          magazines_(static_cast<std::uint32_t>(magazines_needed(objects, capacity, slots)), capacity),
          shards_(std::make_unique<shard[]>(slots)) {
        for (std::uint32_t i = magazines_.size(); i != 0; --i) shards_[i % slots].empty.push(magazines_, i);
    }

    std::uint32_t capacity() const noexcept { return capacity_; }
    std::uint32_t magazines() const noexcept { return magazines_.size(); }

    /// The magazine of that index; null for 0.
    magazine *at(std::uint32_t index) const noexcept { return index == 0 ? nullptr : &magazines_[index]; }

    /// Fill the depot with the objects at start, start + stride, …; by one thread, before any other is there.
    void stock(std::byte *start, std::size_t stride, std::uint64_t objects) noexcept {
        depot_counters unused;
        const std::uint64_t full = objects / capacity_;
        // A run of neighbouring objects to each shard. Backwards, so that the first come out first.
        for (std::uint64_t i = full + 1; i-- != 0;) {
            const std::uint64_t first = i * capacity_;
            magazine &m = *pop_empty(0, unused);
            m.count = static_cast<std::uint32_t>(i == full ? objects - first : capacity_);
            for (std::uint32_t k = 0; k < m.count; ++k) m.slots()[k] = start + (first + k) * stride;
            const std::uint64_t slot = full == 0 ? 0 : i * slots_ / (full + 1);
            give(static_cast<std::uint32_t>(slot), m);
        }
    }

    /// A full magazine, or else a partly filled one that has at least one object; or null: there was an
    /// instant during the call at which the depot held neither.
    magazine *pop_filled(std::uint32_t slot, depot_counters &counters) noexcept {
        return pop(slot, &shard::full, &partial_, counters);
    }

    /// An empty magazine; never null. magazines_needed() leaves one in some shard at every instant, so a
    /// round that finds none means that other threads made progress meanwhile: lock-free, no wait.
    magazine *pop_empty(std::uint32_t slot, depot_counters &counters) noexcept {
        magazine *m = nullptr;
        do m = pop(slot, &shard::empty, nullptr, counters);
        while (m == nullptr);
        return m;
    }

    void push_full(std::uint32_t slot, magazine &m) noexcept {
        m.count = capacity_;
        shards_[slot].full.push(magazines_, m.index);
    }

    void push_empty(std::uint32_t slot, magazine &m) noexcept {
        m.count = 0;
        shards_[slot].empty.push(magazines_, m.index);
    }

    /// Hand over a magazine whose count is right, however much is in it.
    void give(std::uint32_t slot, magazine &m) noexcept {
        if (m.count == capacity_)
            push_full(slot, m);
        else if (m.count == 0)
            push_empty(slot, m);
        else
            retire(slot, m);
    }

    /// What is in the depot. Exact while no thread is in a call; walks the stacks.
    struct census {
        std::uint64_t objects = 0, full = 0, partial = 0, empty = 0;
        bool operator==(const census &) const = default;
    };
    census count() const noexcept {
        census c;
        auto walk = [&](const tagged_stack &stack, std::uint64_t &magazines) {
            for (std::uint32_t i = stack.top(); i != 0; ++magazines) {
                c.objects += magazines_[i].count;
                i = magazines_[i].next.load(std::memory_order_relaxed); // relaxed: nothing changes meanwhile
            }
        };
        for (std::uint32_t s = 0; s < slots_; ++s) {
            walk(shards_[s].full, c.full);
            walk(shards_[s].empty, c.empty);
        }
        walk(partial_, c.partial);
        return c;
    }

  private:
    /// Put a partly filled magazine away, topped up from one that another thread left.
    ///
    /// Bounds the partial stack by T: let P be its length plus the threads that have popped here and not
    /// pushed yet (at most one magazine each). A pop that succeeds and the push after it leave P as it is. A
    /// pop that fails saw an empty stack, so P was the number of such other threads, at most T - 1, and
    /// becomes at most T.
    void retire(std::uint32_t slot, magazine &m) noexcept {
        magazine *rest = &m;
        if (const std::uint32_t other = partial_.pop(magazines_)) {
            pour(magazines_[other], m, capacity_);
            if (m.count == capacity_) {
                push_full(slot, m);
                rest = &magazines_[other];
                if (rest->count == 0) return push_empty(slot, *rest);
            } else {
                push_empty(slot, magazines_[other]);
            }
        }
        partial_.push(magazines_, rest->index);
    }

    magazine *pop(std::uint32_t slot, tagged_stack shard::*kind, tagged_stack *last,
                  depot_counters &counters) noexcept {
        if (const std::uint32_t i = (shards_[slot].*kind).pop(magazines_)) {
            ++counters.exchanges;
            return &magazines_[i];
        }
        return steal(slot, kind, last, counters);
    }

    [[gnu::noinline]] magazine *steal(std::uint32_t slot, tagged_stack shard::*kind, tagged_stack *last,
                                      depot_counters &counters) noexcept {
        // Looking at one stack after the other can miss a magazine that moves behind one's back. Changes only
        // grow: when their sum before and after the round is the same, no stack changed between its two
        // readings, and all were empty at the instant between the two sums.
        std::uint64_t before = 0, after = changes(kind, last);
        do {
            before = after;
            for (std::uint32_t k = 1; k <= slots_; ++k) {
                const std::uint32_t other = slot + k < slots_ ? slot + k : slot + k - slots_;
                if (const std::uint32_t i = (shards_[other].*kind).pop(magazines_)) {
                    ++counters.exchanges;
                    counters.steals += other != slot;
                    return &magazines_[i];
                }
            }
            if (last != nullptr) {
                if (const std::uint32_t i = last->pop(magazines_)) {
                    ++counters.exchanges;
                    return &magazines_[i];
                }
            }
            after = changes(kind, last);
        } while (before != after);
        return nullptr;
    }

    std::uint64_t changes(tagged_stack shard::*kind, const tagged_stack *last) const noexcept {
        std::uint64_t sum = last == nullptr ? 0 : last->changes();
        for (std::uint32_t s = 0; s < slots_; ++s) sum += (shards_[s].*kind).changes();
        return sum;
    }

    std::uint32_t capacity_;
    std::uint32_t slots_;
    magazine_array magazines_;
    std::unique_ptr<shard[]> shards_;
    alignas(no_sharing) tagged_stack partial_;
};

} // namespace turbomem
