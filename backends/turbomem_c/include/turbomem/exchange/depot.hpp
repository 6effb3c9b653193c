// SPDX-License-Identifier: BSD-3-Clause
/// The depot: where threads leave whole magazines for each other.
#pragma once

#include "turbomem/exchange/counters.hpp"
#include "turbomem/exchange/loose_objects.hpp"
#include "turbomem/exchange/magazine.hpp"
#include "turbomem/exchange/tagged_stack.hpp"
#include "turbomem/system/processor.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace turbomem {

/// Who visits the depot.
struct depot_visitor {
    std::uint32_t thread = 0;  ///< slot, or any other number for a thread without one
    std::uint32_t shard = 0;   ///< its own
    std::uint32_t victim = 0;  ///< the shard it stole from last: with one-way flow the one to try next
    std::uint32_t source = 0;  ///< the shard that its last magazine came from
    std::uint32_t foreign = 0; ///< full magazines in a row that another thread had filled, in order
    std::uint32_t aged = 0;    ///< magazines taken since it last changed the side that is filled
    depot_counters counters;

    /// Another thread goes on in the slot: all but the counters, which others may be reading.
    void move_to(const depot_visitor &next) noexcept {
        thread = next.thread;
        shard = next.shard;
        victim = next.victim;
        source = next.source;
        foreign = next.foreign;
        aged = next.aged;
    }
};

/// After so many foreign magazines in a row a thread gets with one-way flow: what it gets, others put. They
/// must come back in order. Objects that were mixed meanwhile have rested with those who mixed them, and the
/// oldest of them would be spread over the whole pool and its pages.
inline constexpr std::uint32_t one_way_after = 4;

/// Objects that come between a put and the next get of the same object with one-way flow, measured with a
/// header written and read: on Zen 4 as many as there are lines in a second-level cache of 1 MB, so that the
/// last user's core has let go of them; on Zen 5 few enough that the core that gets them still has theirs.
/// Others are taken to be as Zen 4.
inline std::uint32_t one_way_distance() noexcept {
    return detail::amd_family() >= 26 ? 2048 : 16384;
}

/// Threads without a slot that may be in a call at once before a put finds no empty magazine and has to put
/// its objects one by one.
inline constexpr std::uint64_t guests_provided_for = 4;

/// Empty magazines that a thread keeps, see spares, and how many it moves at once.
inline constexpr std::uint32_t spares_kept = 8, spares_moved = 4;

/// How many magazines an exchange needs so that a thread that wants an empty one finds one.
///
/// Count the magazines that cannot be empty ones in the depot, M objects each, N objects, T threads, guests
/// in a call among them:
///   full ones, wherever they are                              <= floor(N / M)
///   partial ones in the depot                                 <= T      (see depot::retire)
///   others in the hands of T - 1 threads: loaded, previous,
///     S spares, and while reclaiming those of another cache,
///     whose thread may have got new ones since                <= (4 + S) (T - 1)
///   others in the hands of the thread that wants one          <= 3
/// so   floor(N / M) + T + (4 + S) (T - 1) + 3 + 1  <=  floor(N / M) + (5 + S) T   leave at least one.
///
/// A thread that died counts for as long as nobody took over its slot; what it had in its hands in the middle
/// of a call is gone for good. When all that goes beyond the count, puts go on with loose objects, and a
/// thread that has no magazine of its own finds none to reclaim into.
constexpr std::uint64_t magazines_needed(std::uint64_t objects, std::uint64_t capacity,
                                         std::uint64_t threads) {
    return objects / capacity + (5 + spares_kept) * (threads + guests_provided_for);
}

/// Shards, each with a stack of full and one of empty magazines; as many as threads, but not more than can
/// run at once. A thread pushes full magazines to its own shard and pops there first, so the compare-and-swap
/// of an exchange is uncontended as long as what it frees is what it takes; when its own shard is empty it
/// steals from the others, from the one that had some the last time first, so nothing is stranded in them.
///
/// A shard has two stacks of full magazines, its sides: puts fill one of them. A thread that gets what it put
/// takes the newest first, which its core still caches. With one-way flow the newest lie in the cache of
/// another core, from where a line costs more than from the cache that cores share: such a thread empties the
/// side that is not filled, and changes the sides when it has taken enough.
///
/// Partly filled magazines are rare (threads that left, uncached ones) and share one stack; loose objects are
/// rarer still.
///
/// Every operation is lock-free. None waits for another thread.
class depot {
    struct alignas(no_sharing) stack_apart : tagged_stack {};

    /// Each head on lines of its own: with one-way flow a thread fills one side while another empties the
    /// other, and neither then waits for a line that the other just wrote.
    struct shard {
        std::array<stack_apart, 2> full;
        stack_apart empty;
        /// The side that is filled. relaxed, all accesses: it only says where to look first. Often read,
        /// seldom written.
        alignas(no_sharing) std::atomic<std::uint32_t> filled{0};
        alignas(no_sharing) depot_counters guests;
    };
    static constexpr std::uint32_t most_shards = 64;

  public:
    /// Throws out_of_memory, std::bad_alloc. All magazines start fresh; `populated` bytes of them are backed
    /// by memory at once. `distance`: 0 stands for one_way_distance().
    depot(std::uint32_t objects, std::uint32_t capacity, std::uint32_t slots,
          std::uint64_t populated = UINT64_MAX, std::uint32_t distance = 0)
        : capacity_(capacity), shards_n_(shards_for(slots)),
          distance_(std::max((distance == 0 ? one_way_distance() : distance) / capacity, 1u)),
          magazines_(static_cast<std::uint32_t>(magazines_needed(objects, capacity, slots)), capacity,
                     populated),
          shards_(std::make_unique<shard[]>(shards_n_)), loose_(objects) {}

    /// Bytes it takes, without the address space of loose objects.
    static std::uint64_t bytes_for(std::uint64_t objects, std::uint32_t capacity, std::uint32_t slots) {
        return magazines_needed(objects, capacity, slots) * magazine_array::stride(capacity) +
               shards_for(slots) * sizeof(shard);
    }

    std::uint32_t objects() const noexcept { return loose_.capacity(); }
    std::uint32_t capacity() const noexcept { return capacity_; }
    std::uint32_t magazines() const noexcept { return magazines_.size(); }
    std::uint32_t shards() const noexcept { return shards_n_; }

    /// Fill the depot with the objects at start, start + stride, …; by one thread, before any other is there.
    void stock(std::byte *start, std::size_t stride, std::uint64_t objects) noexcept {
        depot_visitor v;
        const std::uint64_t full = objects / capacity_;
        // A run of neighbouring objects to each shard. Backwards, so that the first come out first.
        for (std::uint64_t i = full + 1; i-- != 0;) {
            const std::uint64_t first = i * capacity_;
            magazine &m = *pop_empty(v);
            m.count = static_cast<std::uint32_t>(i == full ? objects - first : capacity_);
            for (std::uint32_t k = 0; k < m.count; ++k) m.slots()[k] = start + (first + k) * stride;
            v.shard = full == 0 ? 0 : static_cast<std::uint32_t>(i * shards_n_ / (full + 1));
            give(v, m);
        }
    }

    /// As many full magazines of a shard as `out` has room for and there are, or else a partly filled one
    /// that has at least one object; how many. 0: each stack was found empty once. A magazine that moved
    /// behind one's back shows in changes().
    std::size_t pop_filled(depot_visitor &v, std::span<std::uint32_t> out) noexcept {
        if (const std::size_t n = pop_full(v, out)) return n;
        out.front() = partial_.pop(magazines_);
        if (out.front() == 0) return 0;
        v.counters.exchanges += 1;
        v.source = v.shard;
        return 1;
    }

    /// One; null for 0.
    magazine *pop_filled(depot_visitor &v) noexcept {
        std::uint32_t index;
        return pop_filled(v, {&index, 1}) == 0 ? nullptr : &magazines_[index];
    }

    /// As many empty magazines as `out` has room for, fewer where a shard has fewer; how many. 0 when there
    /// was an instant during the call at which the depot had none: that takes more guests or deaths than
    /// magazines_needed() provides for.
    std::size_t pop_empty(depot_visitor &v, std::span<std::uint32_t> out) noexcept {
        const auto take = [&](shard &s) { return s.empty.pop(magazines_, out); };
        if (const std::size_t n = visit(v, v.shard, take)) return n;
        // Fresh ones first, so that each shard keeps its own. From here on there are none.
        std::size_t n = magazines_.take_fresh(out);
        v.counters.exchanges += n;
        for (std::uint64_t before = 0, now = 1; n == 0 && before != now;) {
            before = changes_of_empty();
            n = search(v, take);
            now = changes_of_empty();
        }
        return n;
    }

    /// One; null for 0.
    magazine *pop_empty(depot_visitor &v) noexcept {
        std::uint32_t index;
        return pop_empty(v, {&index, 1}) == 0 ? nullptr : &magazines_[index];
    }

    magazine &operator[](std::uint32_t index) const noexcept { return magazines_[index]; }

    void push_full(const depot_visitor &v, magazine &m) noexcept { push_full(v, {&m.index, 1}); }

    /// Several at once, whose slots are all filled.
    void push_full(const depot_visitor &v, std::span<const std::uint32_t> indices) noexcept {
        for (const std::uint32_t i : indices) {
            magazines_[i].count = capacity_;
            magazines_[i].user = v.thread;
        }
        shard &s = shards_[v.shard];
        s.full[s.filled.load(std::memory_order_relaxed)].push(magazines_, indices);
    }

    void push_empty(const depot_visitor &v, magazine &m) noexcept {
        m.count = 0;
        m.user = v.thread;
        push_empty(v.shard, {&m.index, 1});
    }

    /// Several at once, whose counts are 0.
    void push_empty(std::uint32_t to, std::span<const std::uint32_t> indices) noexcept {
        shards_[to].empty.push(magazines_, indices);
    }

    /// Hand over a magazine whose count is right, however much is in it.
    void give(const depot_visitor &v, magazine &m) noexcept {
        if (m.count == capacity_)
            push_full(v, m);
        else if (m.count == 0)
            push_empty(v, m);
        else
            retire(v, m);
    }

    void put_loose(void *object) noexcept { loose_.put(object); }
    void *get_loose() noexcept { return loose_.get(); }

    /// A number that grows with every change of where objects lie here. When it is the same before and after
    /// a look at all places, none changed between its two readings: what was found empty was empty at the
    /// instant between the two numbers.
    std::uint64_t changes() const noexcept {
        std::uint64_t sum = partial_.changes() + loose_.changes();
        for (std::uint32_t s = 0; s < shards_n_; ++s)
            for (const tagged_stack &side : shards_[s].full) sum += side.changes();
        return sum;
    }

    /// The thread of that number.
    depot_visitor visitor(std::uint32_t number) const noexcept {
        const std::uint32_t own = number % shards_n_;
        return {.thread = number, .shard = own, .victim = own, .source = own, .counters = {}};
    }
    /// A guest did that. Wait-free.
    void count_guest(const depot_visitor &v, const depot_counters &did) noexcept {
        shards_[v.shard].guests.add(did);
    }
    /// What guests did. Exact while no thread is in a call.
    depot_counters guests() const noexcept {
        depot_counters sum;
        for (std::uint32_t s = 0; s < shards_n_; ++s) sum += shards_[s].guests;
        return sum;
    }

    /// Objects in the depot, without a walk but over the few magazines that are partly filled. Exact while no
    /// thread is in a call, else an estimate.
    std::uint64_t held() const noexcept {
        std::uint64_t full = 0, partial = 0;
        for (std::uint32_t s = 0; s < shards_n_; ++s)
            for (const tagged_stack &side : shards_[s].full) full += side.size(magazines_);
        return full * capacity_ + walk(partial_, partial) + loose_.count();
    }

    /// How low the pool has been, for whoever knows what is in caches, too.
    low_water &lowest() const noexcept { return lowest_; }

    /// What is in the depot; walks the stacks. Exact while no thread is in a call, else an estimate: a stack
    /// that changes on the way is walked again, a few times.
    struct census {
        std::uint64_t objects = 0, full = 0, partial = 0, empty = 0, loose = 0;
        bool operator==(const census &) const = default;
    };
    census count() const noexcept {
        census c;
        for (std::uint32_t s = 0; s < shards_n_; ++s) {
            for (const tagged_stack &side : shards_[s].full) {
                std::uint64_t full = 0;
                c.objects += walk(side, full);
                c.full += full;
            }
            std::uint64_t empty = 0;
            c.objects += walk(shards_[s].empty, empty);
            c.empty += empty;
        }
        c.objects += walk(partial_, c.partial);
        c.empty += magazines_.fresh();
        c.loose = loose_.count();
        c.objects += c.loose;
        return c;
    }

  private:
    static std::uint32_t shards_for(std::uint32_t slots) noexcept {
        const long cpus = std::max(1l, ::sysconf(_SC_NPROCESSORS_CONF));
        return std::min({slots, static_cast<std::uint32_t>(cpus), most_shards});
    }

    /// Objects in a stack, by looking at each magazine; and how many those are.
    std::uint64_t walk(const tagged_stack &stack, std::uint64_t &magazines) const noexcept {
        std::uint64_t objects = 0;
        for (int tries = 4; tries != 0; --tries) {
            const std::uint32_t before = stack.changes();
            objects = magazines = 0;
            // relaxed: links and counts are looked at, not relied on. A stack that changes may lead round.
            for (std::uint32_t i = stack.top(); i != 0 && magazines < magazines_.size(); ++magazines) {
                objects += magazines_[i].count;
                i = magazines_[i].next.load(std::memory_order_relaxed);
            }
            if (stack.changes() == before) break;
        }
        return objects;
    }

    /// Put a partly filled magazine away, topped up from one that another thread left.
    ///
    /// Bounds the partial stack by T: let P be its length plus the threads that have popped here and not
    /// pushed yet (at most one magazine each). A pop that succeeds and the push after it leave P as it is. A
    /// pop that fails saw an empty stack, so P was the number of such other threads, at most T - 1, and
    /// becomes at most T. A get that pops makes P smaller.
    void retire(const depot_visitor &v, magazine &m) noexcept {
        magazine *rest = &m;
        if (const std::uint32_t other = partial_.pop(magazines_)) {
            pour(magazines_[other], m, capacity_);
            if (m.count == capacity_) {
                push_full(v, m);
                rest = &magazines_[other];
                if (rest->count == 0) return push_empty(v, *rest);
            } else {
                push_empty(v, magazines_[other]);
            }
        }
        partial_.push(magazines_, rest->index);
    }

    /// The first of them tells of all.
    std::size_t pop_full(depot_visitor &v, std::span<std::uint32_t> out) noexcept {
        const std::size_t n = search(v, [&](shard &s) { return pop_full(v, s, out); });
        if (n == 0) return 0;
        magazine &m = magazines_[out.front()];
        // Looked at once for each change of the sides: what lies on one was put in the same time.
        const bool known = v.foreign == one_way_after && v.aged != 0;
        const bool foreign = m.user != v.thread && (known || holds_neighbours(m));
        v.foreign = foreign ? std::min(v.foreign + static_cast<std::uint32_t>(n), one_way_after) : 0;
        return n;
    }

    /// From either side.
    std::size_t pop_full(depot_visitor &v, shard &s, std::span<std::uint32_t> out) noexcept {
        const std::uint32_t filled = s.filled.load(std::memory_order_relaxed);
        tagged_stack &newer = s.full[filled], &older = s.full[filled ^ 1];
        const bool one_way = v.foreign == one_way_after;
        if (one_way && v.aged < distance_) {
            if (const std::size_t n = older.pop(magazines_, out)) {
                v.aged += static_cast<std::uint32_t>(n);
                return n;
            }
        }
        if (const std::size_t n = newer.pop(magazines_, out)) {
            if (one_way) {
                s.filled.store(filled ^ 1, std::memory_order_relaxed);
                v.aged = 0;
            }
            return n;
        }
        return older.pop(magazines_, out);
    }

    /// `take` from the first shard that has any.
    template <class Take> std::size_t search(depot_visitor &v, Take take) noexcept {
        if (const std::size_t n = visit(v, v.shard, take)) return n;
        if (const std::size_t n = visit(v, v.victim, take)) return n;
        for (std::uint32_t s = v.victim;;) {
            s = s + 1 == shards_n_ ? 0 : s + 1;
            if (s == v.victim) return 0;
            if (const std::size_t n = visit(v, s, take)) {
                v.victim = s;
                return n;
            }
        }
    }

    template <class Take> std::size_t visit(depot_visitor &v, std::uint32_t from, Take take) noexcept {
        const std::size_t n = take(shards_[from]);
        if (n == 0) return 0;
        v.counters.exchanges += n;
        v.counters.steals += from != v.shard ? n : 0;
        v.source = from;
        return n;
    }

    std::uint64_t changes_of_empty() const noexcept {
        std::uint64_t sum = 0;
        for (std::uint32_t s = 0; s < shards_n_; ++s) sum += shards_[s].empty.changes();
        return sum;
    }

    std::uint32_t capacity_;
    std::uint32_t shards_n_;
    std::uint32_t distance_; ///< in magazines
    magazine_array magazines_;
    std::unique_ptr<shard[]> shards_;
    alignas(no_sharing) tagged_stack partial_;
    loose_objects loose_;
    alignas(no_sharing) mutable low_water lowest_;
};

} // namespace turbomem
