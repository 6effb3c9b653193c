// SPDX-License-Identifier: BSD-3-Clause
/// A thread's cache: two magazines (Bonwick & Adams, USENIX 2001) between the thread and the depot.
#pragma once

#include "turbomem/depot.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

namespace turbomem {

/// Used by one thread at a time, the one that entered.
///
/// Always: `previous` is full or empty; the depot is visited at most once in M objects got or put in any
/// order, M being the magazine size. Without caching (limit 0) nothing stays here between two calls.
class alignas(no_sharing) cache {
  public:
    /// Take n objects, all or none: false when the depot and this cache together have fewer, and then both
    /// are as they were. `objects` is undefined after a failure.
    /// Wait-free while n objects are loaded, else lock-free. What another thread caches, or has in hand
    /// during a call beyond what it gets, is not found: at most 2 M each. So with T threads a get of n cannot
    /// fail while n + 2 M (T - 1) objects are in the pool and no other get fails meanwhile.
    bool get_bulk(void **objects, std::uint32_t n) noexcept {
        if (n > count_) [[unlikely]]
            return get_slowly(objects, n);
        void **const from = slots_ + (count_ -= n);
        if (n == 1)
            *objects = *from;
        else
            copy_objects(objects, from, n);
        return true;
    }

    /// Give n objects back; any thread may have got them. Putting what is not out breaks the pool.
    /// Wait-free while the loaded magazine has room, else lock-free.
    void put_bulk(void *const *objects, std::uint32_t n) noexcept {
        if (n > limit_ - count_) [[unlikely]]
            return put_slowly(objects, n);
        void **const to = slots_ + count_;
        count_ += n;
        if (n == 1)
            *to = *objects;
        else
            copy_objects(to, objects, n);
    }

    /// Objects held here. Exact while the owner is not in a call.
    std::uint64_t objects() const noexcept { return count_ + std::uint64_t{previous_count_}; }

    const depot_counters &counters() const noexcept { return counters_; }

    /// Take over the slot: false when a thread is in it.
    bool enter(depot &d, std::uint32_t slot, bool caching) noexcept {
        // acquire: the fields as the thread that left the slot wrote them.
        if (entered_.exchange(true, std::memory_order_acquire)) return false;
        depot_ = &d;
        slot_ = slot;
        limit_ = caching ? d.capacity() : 0;
        load(*d.pop_empty(slot, counters_));
        previous_ = d.pop_empty(slot, counters_);
        return true;
    }

    /// Hand both magazines to the depot and free the slot. Lock-free.
    void leave() noexcept {
        unload(*previous_, std::exchange(previous_count_, 0));
        unload(*loaded_, std::exchange(count_, 0));
        // release: pairs with the acquire of the next thread that enters the slot.
        entered_.store(false, std::memory_order_release);
    }

  private:
    /// What a get collected from the depot: full magazines, linked by `next`, and what is left of merging
    /// partly filled ones. Merged, because a thread may hold only so many that are not full.
    struct haul {
        magazine *full = nullptr;
        magazine *partial = nullptr;
        std::uint64_t objects = 0;
    };

    [[gnu::noinline]] bool get_slowly(void **objects, std::uint32_t n) noexcept {
        haul h;
        const std::uint64_t here = this->objects();
        if (n > here && !collect(h, n - here)) return false;

        take(objects, n);
        if (n != 0 && previous_count_ != 0) {
            swap();
            take(objects, n);
        }
        // Both are empty if anything is still wanted. Partial first: it is used up unless it is the only one.
        while (h.partial != nullptr || h.full != nullptr) {
            magazine &m = h.partial != nullptr ? *std::exchange(h.partial, nullptr) : *next_full(h);
            depot_->push_empty(slot_, *loaded_);
            load(m);
            take(objects, n);
        }
        if (limit_ == 0) drain();
        return true;
    }

    [[gnu::noinline]] void put_slowly(void *const *objects, std::uint32_t n) noexcept {
        const std::uint32_t capacity = depot_->capacity();
        for (;;) {
            const std::uint32_t k = std::min(n, capacity - count_);
            copy_objects(slots_ + count_, objects, k);
            count_ += k;
            objects += k;
            n -= k;
            if (n == 0) break;
            if (previous_count_ != 0) {
                depot_->push_full(slot_, *previous_);
                previous_ = depot_->pop_empty(slot_, counters_);
                previous_count_ = 0;
            }
            swap();
        }
        if (limit_ == 0) drain();
    }

    /// Collect at least `wanted` objects from the depot, or none; no more magazines than that takes.
    bool collect(haul &h, std::uint64_t wanted) noexcept {
        const std::uint32_t capacity = depot_->capacity();
        while (h.objects < wanted) {
            magazine *m = depot_->pop_filled(slot_, counters_);
            if (m == nullptr) {
                give_back(h);
                return false;
            }
            h.objects += m->count;
            if (m->count != capacity && h.partial != nullptr) {
                pour(*m, *h.partial, capacity);
                if (h.partial->count == capacity) add_full(h, *std::exchange(h.partial, nullptr));
                if (m->count == 0) {
                    depot_->push_empty(slot_, *m);
                    continue;
                }
            }
            if (m->count == capacity)
                add_full(h, *m);
            else
                h.partial = m;
        }
        return true;
    }

    void give_back(haul &h) noexcept {
        while (h.full != nullptr) depot_->push_full(slot_, *next_full(h));
        if (h.partial != nullptr) depot_->give(slot_, *h.partial);
    }

    void add_full(haul &h, magazine &m) const noexcept {
        // relaxed: the link is private until the magazine is pushed again.
        m.next.store(h.full == nullptr ? 0 : h.full->index, std::memory_order_relaxed);
        h.full = &m;
    }

    magazine *next_full(haul &h) const noexcept {
        magazine *m = h.full;
        h.full = depot_->at(m->next.load(std::memory_order_relaxed)); // relaxed: private, see add_full()
        return m;
    }

    /// Without caching: nothing stays here.
    void drain() noexcept {
        if (previous_count_ != 0) {
            unload(*previous_, std::exchange(previous_count_, 0));
            previous_ = depot_->pop_empty(slot_, counters_);
        }
        if (count_ != 0) {
            unload(*loaded_, std::exchange(count_, 0));
            load(*depot_->pop_empty(slot_, counters_));
        }
    }

    void take(void **&objects, std::uint32_t &n) noexcept {
        const std::uint32_t k = std::min(n, count_);
        count_ -= k;
        copy_objects(objects, slots_ + count_, k);
        objects += k;
        n -= k;
    }

    void load(magazine &m) noexcept {
        loaded_ = &m;
        slots_ = m.slots();
        count_ = m.count;
    }

    void unload(magazine &m, std::uint32_t count) noexcept {
        m.count = count;
        depot_->give(slot_, m);
    }

    void swap() noexcept {
        std::swap(loaded_, previous_);
        std::swap(count_, previous_count_);
        slots_ = loaded_->slots();
    }

    void **slots_ = nullptr;  ///< those of loaded_
    std::uint32_t count_ = 0; ///< objects in loaded_
    std::uint32_t limit_ =
        0; ///< objects that fit into loaded_; 0: no caching, every call takes the slow path
    magazine *loaded_ = nullptr;
    magazine *previous_ = nullptr;
    std::uint32_t previous_count_ = 0; ///< 0 or the magazine size
    std::uint32_t slot_ = 0;
    depot *depot_ = nullptr;
    depot_counters counters_;
    std::atomic<bool> entered_{false};
};

} // namespace turbomem
