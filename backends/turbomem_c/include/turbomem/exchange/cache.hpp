// SPDX-License-Identifier: BSD-3-Clause
/// A thread's cache: two magazines (Bonwick & Adams, USENIX 2001) between the thread and the depot.
#pragma once

#include "turbomem/exchange/claim.hpp"
#include "turbomem/exchange/depot.hpp"
#include "turbomem/exchange/spares.hpp"
#include "turbomem/system/barriers.hpp"
#include "turbomem/system/probe.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace turbomem {

class cache;

/// What the caches of an exchange have in common.
struct cache_group {
    depot &shared;
    cache *first = nullptr;
    std::size_t stride = 0; ///< bytes from one slot's to the next's, which may be of a derived class
    std::atomic<std::uint32_t> reached{0}; ///< slots from here on were never entered
    process_barrier barrier{};

    cache &at(std::uint32_t slot) const noexcept {
        return *reinterpret_cast<cache *>(reinterpret_cast<std::byte *>(first) + slot * stride);
    }
    /// Objects in caches. Exact while no thread is in a call, else an estimate. Wait-free.
    std::uint64_t cached() const noexcept;
    /// Those, and the depot's.
    std::uint64_t available() const noexcept { return shared.held() + cached(); }
};

/// Used by one thread at a time, the one that entered.
///
/// Between calls: `previous` is full or empty; the depot is visited at most once per M objects got or put in
/// any order, M being the magazine size. A thread that only gets, or only puts, moves both magazines in one
/// trip, which makes it one per 2 M; when it turns, one trip more may follow at once. Without caching nothing
/// stays here between two calls.
///
/// Other threads can take what lies here: a get that finds the depot empty does, see claim. The paths that
/// need no depot have no locked instruction all the same.
class alignas(no_sharing) cache {
  public:
    cache() = default;

    /// Take n objects, all or none; false when they were not found, and then none is taken. `objects` is
    /// undefined after a failure.
    ///
    /// Every object is found that no other call has in its hands meanwhile, wherever it lies: here, in the
    /// depot, in the caches of other threads, idle, stopped, dead or departed. Missed are: what others got
    /// and what they are about to put; the cache of a thread that is just exchanging magazines or in a
    /// session, 2 M objects at most; and, where the kernel lacks membarrier, the caches of all others. So
    /// with T threads a get of n cannot fail while n + 2 M (T - 1) objects are in the pool and no other get
    /// fails meanwhile.
    ///
    /// Wait-free while n objects are loaded, else lock-free.
    bool get_bulk(void **objects, std::uint32_t n) noexcept {
        return get_at_once(objects, n) || get_slowly(objects, n);
    }

    /// As get_bulk, for a caller that reads `objects` after a failure: they are as before, if n is at most
    /// most_restored.
    [[nodiscard]] bool get_or_restore(void **objects, std::uint32_t n) noexcept {
        return get_at_once(objects, n) || get_slowly_or_restore(objects, n);
    }
    static constexpr std::uint32_t most_restored = 1024;

    /// Give n objects back; any thread may have got them. Putting what is not out breaks the pool.
    /// Wait-free while the loaded magazine has room, else lock-free.
    void put_bulk(void *const *objects, std::uint32_t n) noexcept {
        if (!put_at_once(objects, n, limit_)) put_slowly(objects, n);
    }

    /// Take up to n objects; how many. Fewer only when get_bulk would not find more. Lock-free.
    std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
        open(count_.load(std::memory_order_relaxed)); // relaxed: written by this thread
        bool missed = false;
        const std::uint32_t got = gather(objects, n, missed);
        if (missed && got != 0) visitor_.counters.get_misses += 1;
        close();
        return got;
    }

    /// Objects held here; 0 while the owner exchanges magazines. Exact while it is in no call.
    std::uint64_t objects() const noexcept {
        // acquire: the rest as the owner left it.
        const std::int64_t count = count_.load(std::memory_order_acquire);
        const claim::state s = claim_.look();
        if (count < s.gone) return 0;
        const std::uint32_t behind =
            previous_count_.load(std::memory_order_relaxed); // relaxed: acquired above
        return static_cast<std::uint64_t>(count) - s.gone + (s.behind_gone ? 0 : behind);
    }

    const depot_counters &counters() const noexcept { return visitor_.counters; }

    /// Take over the slot: false when a thread is in it.
    bool enter(cache_group &group, std::uint32_t slot, bool caching) noexcept {
        // relaxed: only to leave the line alone where it is not ours to have.
        if (entered_.load(std::memory_order_relaxed)) return false;
        // acquire: the fields as the thread that left the slot wrote them.
        if (entered_.exchange(true, std::memory_order_acquire)) return false;
        attach(group, slot, caching);
        return true;
    }

    /// For a call of a thread without a slot: a cache of its own that is nobody else's to find.
    void attach_guest(cache_group &group, std::uint32_t number) noexcept {
        attach(group, number, false);
        guest_ = true;
    }

    /// metering::calls: a get took, a put gave n objects. Wait-free.
    void count_get(std::uint32_t n) noexcept {
        visitor_.counters.gets += 1;
        visitor_.counters.got += n;
    }
    void count_put(std::uint32_t n) noexcept {
        visitor_.counters.puts += 1;
        visitor_.counters.put += n;
    }

  private:
    void attach(cache_group &group, std::uint32_t number, bool caching) noexcept {
        group_ = &group;
        depot_ = &group.shared;
        visitor_.move_to(depot_->visitor(number));
        caching_ = puts_unseen_ = caching;
        direction_ = 0;
    }

  public:
    /// Hand both magazines to the depot and free the slot. Lock-free. Called by the thread that entered, or,
    /// once that thread is gone without having left, by one that knows so; what it had here is lost if it
    /// died while it exchanged magazines.
    void leave() noexcept {
        const std::int64_t count =
            count_.load(std::memory_order_relaxed); // relaxed: as told by whoever knows
        if (count >= 0) {
            open(count);
        } else {
            if (claim_.settle().copying) claim_.abandon();
            forget();
            spares_.forget();
        }
        unload();
        if (guest_) account(0);
        guest_ = false;
        close();
        // release: pairs with the acquire of the next thread that enters the slot.
        entered_.store(false, std::memory_order_release);
    }

  protected:
    /// A get while n objects are loaded and nobody claims them. false: none is taken, and get_slowly() of the
    /// same n follows.
    bool get_at_once(void **objects, std::uint32_t n) noexcept {
        // relaxed: written by this thread.
        const std::int64_t left = count_.load(std::memory_order_relaxed) - std::int64_t{n};
        // release: a reclaimer that reads it finds the slots below as this thread left them. Before the look
        // at the claim, because of it; see there.
        count_.store(left, std::memory_order_release);
        light_barrier();
        TURBOMEM_POINT(lowered);
        if (static_cast<std::int64_t>(static_cast<std::uint64_t>(left) | claim_.word()) < 0) [[unlikely]]
            return false;
        void **const from = slots_ + left;
        if (n == 1)
            *objects = *from;
        else
            copy_objects(objects, from, n);
        return true;
    }

    /// A put while `limit` objects are not exceeded in the loaded magazine. false: nothing is done.
    bool put_at_once(void *const *objects, std::uint32_t n, std::int64_t limit) noexcept {
        const std::int64_t count = count_.load(std::memory_order_relaxed); // relaxed: written by this thread
        if (n > limit - count) [[unlikely]]
            return false;
        void **const to = slots_ + count;
        if (n == 1)
            *to = *objects;
        else
            copy_objects(to, objects, n);
        TURBOMEM_POINT(filled);
        // release: a reclaimer that reads it finds the objects.
        count_.store(count + n, std::memory_order_release);
        return true;
    }

    [[gnu::noinline]] bool get_slowly(void **objects, std::uint32_t n) noexcept {
        open(count_.load(std::memory_order_relaxed) + n); // relaxed: lowered by n by this thread
        const bool got = get_open(objects, n);
        close();
        return got;
    }

    [[gnu::noinline]] bool get_slowly_or_restore(void **objects, std::uint32_t n) noexcept {
        void *before[most_restored];
        const std::size_t bytes = n <= most_restored ? n * sizeof *objects : 0;
        std::memcpy(before, objects, bytes);
        if (get_slowly(objects, n)) return true;
        std::memcpy(objects, before, bytes);
        return false;
    }

    [[gnu::noinline]] void put_slowly(void *const *objects, std::uint32_t n) noexcept {
        open(count_.load(std::memory_order_relaxed)); // relaxed: written by this thread
        put_open(objects, n);
        close();
    }

    /// For a derived class that has to look at what is put: put_at_once() up to `limit_` is false from now
    /// until the slot is entered again, put_here() goes on as ever. To be called before anything is put.
    void look_at_puts() noexcept { puts_unseen_ = false; }
    void put_here(void *const *objects, std::uint32_t n) noexcept {
        if (!put_at_once(objects, n, caching_ ? room_ : 0)) put_slowly(objects, n);
    }
    std::int64_t limit() const noexcept { return limit_; }
    /// The get that failed here took its objects from somewhere else.
    void found_elsewhere() noexcept { visitor_.counters.failed_gets -= 1; }

  private:
    friend class cache_session;

    static constexpr std::int64_t closed_to_others = INT64_MIN;

    /// Trips in a row that all got, or all put, after which a thread is taken for one that goes on so. The
    /// trip too many when it turns is one of sixteen at worst.
    static constexpr std::int8_t one_way_trips = 16;

    /// Full ones that one call moves at once: a bulk of many magazines is one trip to the depot.
    struct magazines {
        static constexpr std::uint32_t most = 8;
        std::uint32_t n = 0;
        std::array<std::uint32_t, most> indices;
    };

    /// Begin to exchange magazines: from here to close() `here_` is the count, and no reclaimer begins.
    void open(std::int64_t count) noexcept {
        here_ = static_cast<std::uint32_t>(count);
        // relaxed: the barriers see to its order before the look at the claim.
        count_.store(closed_to_others, std::memory_order_relaxed);
        light_barrier();
        TURBOMEM_POINT(open);
        const claim::state s = claim_.settle();
        if (s.behind_gone) set_previous(nullptr, 0);
        if (s.copying)
            move_out(s.gone);
        else if (s.gone != 0) {
            here_ -= s.gone;
            std::memmove(slots_, slots_ + s.gone, here_ * sizeof(void *));
        }
    }

    void close() noexcept {
        if (!caching_) unload();
        if (guest_) {
            TURBOMEM_PROBE(guest_call, depot_, std::uint64_t{visitor_.thread});
            account(1);
        }
        TURBOMEM_POINT(close);
        // release: a reclaimer that reads the count finds the magazines as this thread left them.
        count_.store(here_, std::memory_order_release);
    }

    /// A guest's counters are nobody's to find later.
    void account(std::uint64_t calls) noexcept {
        visitor_.counters.guest_calls += calls;
        depot_->count_guest(visitor_, visitor_.counters);
        visitor_.counters = {};
    }

    // What follows runs while the cache is open.

    /// A reclaimer is copying the lower part of the loaded magazine: take the rest elsewhere and leave it to
    /// it.
    void move_out(std::uint32_t gone) noexcept {
        magazine &old = *loaded();
        magazine *fresh = here_ == gone ? nullptr : spares_.take(*depot_, visitor_);
        const std::uint32_t rest = here_ - gone;
        if (fresh != nullptr)
            copy_objects(fresh->slots(), slots_ + gone, rest);
        else
            for (std::uint32_t i = gone; i < here_; ++i) depot_->put_loose(slots_[i]);
        forget();
        if (fresh != nullptr) load(*fresh, rest);
        if (!claim_.abandon()) depot_->push_empty(visitor_, old);
    }

    bool get_open(void **objects, std::uint32_t n) noexcept {
        if (n <= depot_->objects()) {
            bool missed = false;
            const std::uint32_t got = gather(objects, n, missed);
            if (got == n) {
                if (missed) visitor_.counters.get_misses += 1;
                return true;
            }
            put_open(objects, got);
        }
        TURBOMEM_PROBE(exhausted, depot_, n);
        visitor_.counters.failed_gets += 1;
        return false;
    }

    std::uint32_t gather(void **objects, std::uint32_t n, bool &missed) noexcept {
        void **const first = objects;
        take(objects, n);
        if (n != 0 && full_behind()) {
            swap();
            take(objects, n);
        }
        if (n == 0) return static_cast<std::uint32_t>(objects - first);
        missed = true;
        direction_ = std::min<std::int8_t>(std::max<std::int8_t>(direction_, 0) + 1, one_way_trips);
        TURBOMEM_PROBE(refill, depot_, n);
        take_from_depot(objects, n);
        // Not enough: look everywhere, until nothing moved meanwhile.
        for (std::uint64_t before = 0, now = 1; n != 0 && before != now; now = depot_->changes()) {
            before = depot_->changes();
            do take_from_depot(objects, n);
            while (n != 0 && reclaim(objects, n));
        }
        if (n != 0 || depot_->lowest().due())
            depot_->lowest().note(group_->available() + here_ +
                                  previous_count_.load(std::memory_order_relaxed)); // relaxed: its own
        return static_cast<std::uint32_t>(objects - first);
    }

    /// Both magazines are empty if anything is still wanted. With one-way flow both are filled.
    void take_from_depot(void **&objects, std::uint32_t &n) noexcept {
        magazines some;
        while (n != 0) {
            std::uint32_t all = n <= depot_->capacity() ? 1 : (n - 1) / depot_->capacity() + 1;
            if (direction_ == one_way_trips && caching_) ++all;
            some.n = static_cast<std::uint32_t>(
                depot_->pop_filled(visitor_, {some.indices.data(), std::min(all, magazines::most)}));
            for (std::uint32_t i = 0; i < some.n; ++i) {
                magazine &m = (*depot_)[some.indices[i]];
                if (m.user != visitor_.thread) expect_reads(m, m.count);
                if (n == 0) { // the one more, and so a full one
                    if (previous() != nullptr) spares_.keep(*depot_, visitor_, *previous());
                    set_previous(&m, room_);
                    break;
                }
                if (loaded() != nullptr) spares_.keep(*depot_, visitor_, *loaded());
                load(m, m.count);
                take(objects, n);
            }
            if (some.n != 0) continue;
            void *const object = depot_->get_loose();
            if (object == nullptr) return;
            *objects++ = object;
            --n;
        }
    }

    void put_open(void *const *objects, std::uint32_t n) noexcept {
        bool missed = false;
        magazines leaving;
        while (n != 0) {
            if (!missed && here_ == room_ && (full_behind() || !caching_)) {
                missed = true;
                direction_ = std::max<std::int8_t>(std::min<std::int8_t>(direction_, 0) - 1, -one_way_trips);
            }
            if (here_ == room_ && !make_room(leaving)) {
                for (; n != 0; --n) depot_->put_loose(*objects++);
                break;
            }
            const std::uint32_t k = std::min(n, room_ - here_);
            copy_objects(slots_ + here_, objects, k);
            here_ += k;
            objects += k;
            n -= k;
        }
        push(leaving);
        if (missed) visitor_.counters.put_misses += 1;
    }

    /// Load a magazine that is not full: false when there is none to be had. A full one joins those
    /// `leaving`, and with one-way flow both do.
    bool make_room(magazines &leaving) noexcept {
        magazine *empty = full_behind() ? nullptr : previous();
        if (empty == nullptr) empty = spares_.take(*depot_, visitor_);
        if (empty == nullptr) return false;
        magazine *behind = loaded(); // full, or there was none
        if (full_behind()) {
            TURBOMEM_PROBE(flush, depot_, room_);
            add(leaving, *previous());
            if (direction_ == -one_way_trips && caching_) {
                add(leaving, *behind);
                behind = nullptr;
            }
        }
        set_previous(behind, behind == nullptr ? 0 : room_);
        load(*empty, 0);
        return true;
    }

    void add(magazines &leaving, const magazine &m) noexcept {
        if (leaving.n == magazines::most) push(leaving);
        leaving.indices[leaving.n++] = m.index;
    }

    void push(magazines &leaving) noexcept {
        if (leaving.n != 0) depot_->push_full(visitor_, {leaving.indices.data(), leaving.n});
        leaving.n = 0;
    }

    void take(void **&objects, std::uint32_t &n) noexcept {
        const std::uint32_t k = std::min(n, here_);
        here_ -= k;
        copy_objects(objects, slots_ + here_, k);
        objects += k;
        n -= k;
    }

    /// Take from other caches, one after the other, until nothing is wanted: false when none had anything.
    /// What is left over is here or in the depot. Both magazines are empty.
    bool reclaim(void **&objects, std::uint32_t &n) noexcept;

    /// As seen by a reclaimer: make a request if there is anything to take; what there is, 0 if not.
    std::uint64_t request(std::uint64_t &seen) noexcept {
        const std::uint64_t held = objects();
        seen = held == 0 ? 0 : claim_.request();
        return seen == 0 ? 0 : held;
    }

    /// As seen by a reclaimer, after the barrier: let it load what is here.
    bool surrender(std::uint64_t seen, cache &to) noexcept {
        // acquire: the slots and magazines as the owner left them.
        const std::int64_t count = count_.load(std::memory_order_acquire);
        const claim::state s = claim::state_of(seen);
        if (count < s.gone) return false; // it exchanges magazines, or is about to
        // relaxed: acquired above; if the owner changes them the take fails.
        magazine *const l = loaded(), *const p = s.behind_gone ? nullptr : previous();
        const std::uint32_t p_count = p == nullptr ? 0 : previous_count_.load(std::memory_order_relaxed);
        const std::uint32_t top = static_cast<std::uint32_t>(count), n = top - s.gone;
        if (n + p_count == 0 || !claim_.take(seen, top)) return false;
        copy_objects(to.slots_, l->slots() + s.gone, n);
        to.here_ = n;
        if (!claim_.done(seen, top)) to.depot_->push_empty(to.visitor_, *l);
        if (p != nullptr) to.give(p, p_count);
        return true;
    }

    void give(magazine *m, std::uint32_t count) noexcept {
        if (m == nullptr) return;
        m->count = count;
        depot_->give(visitor_, *m);
    }

    /// Give all magazines to the depot.
    void unload() noexcept {
        give(previous(), previous_count_.load(std::memory_order_relaxed));
        give(loaded(), here_);
        forget();
        if (!spares_.empty()) spares_.give_back(*depot_, visitor_);
    }

    /// The magazines are somebody else's.
    void forget() noexcept {
        set_loaded(nullptr);
        set_previous(nullptr, 0);
        slots_ = nullptr;
        here_ = room_ = 0;
        limit_ = 0;
    }

    void load(magazine &m, std::uint32_t count) noexcept {
        set_loaded(&m);
        slots_ = m.slots();
        here_ = count;
        room_ = depot_->capacity();
        limit_ = puts_unseen_ ? room_ : 0;
    }

    /// All that was loaded is got, and the magazine behind is full.
    void swap() noexcept {
        magazine *const p = previous();
        set_previous(loaded(), 0);
        load(*p, depot_->capacity());
    }

    bool full_behind() const noexcept { return previous_count_.load(std::memory_order_relaxed) != 0; }

    // relaxed, all of them: written by the owner; for others see surrender().
    magazine *loaded() const noexcept { return loaded_.load(std::memory_order_relaxed); }
    magazine *previous() const noexcept { return previous_.load(std::memory_order_relaxed); }
    void set_loaded(magazine *m) noexcept { loaded_.store(m, std::memory_order_relaxed); }
    void set_previous(magazine *m, std::uint32_t count) noexcept {
        previous_.store(m, std::memory_order_relaxed);
        previous_count_.store(count, std::memory_order_relaxed);
    }

    std::atomic<std::int64_t> count_{0}; ///< objects in the loaded magazine; negative: not to be reclaimed
    claim claim_;
    void **slots_ = nullptr; ///< those of the loaded magazine
    std::int64_t limit_ = 0; ///< objects that may be in it after a put that nobody looks at
    std::atomic<magazine *> loaded_{nullptr};
    std::atomic<magazine *> previous_{nullptr};
    std::atomic<std::uint32_t> previous_count_{0}; ///< 0 or the magazine size
    std::uint32_t here_ = 0;                       ///< while the cache is open, instead of count_
    std::uint32_t room_ = 0;                       ///< objects that fit into the loaded magazine; 0: none is
    bool caching_ = false;
    bool guest_ = false;
    bool puts_unseen_ = false;  ///< caching_, and no derived class looks at them
    std::int8_t direction_ = 0; ///< trips in a row that got; negative: that put
    std::atomic<bool> entered_{false};
    depot_visitor visitor_;
    spares spares_;
    depot *depot_ = nullptr;
    cache_group *group_ = nullptr;
};

inline std::uint64_t cache_group::cached() const noexcept {
    std::uint64_t n = 0;
    // acquire: the caches below it are in use.
    const std::uint32_t slots = reached.load(std::memory_order_acquire);
    for (std::uint32_t slot = 0; slot < slots; ++slot) n += at(slot).objects();
    return n;
}

inline bool cache::reclaim(void **&objects, std::uint32_t &n) noexcept {
    struct candidate {
        cache *from;
        std::uint64_t seen;
    };
    magazines none; // what is here is empty
    if (!group_->barrier.available() || (loaded() == nullptr && !make_room(none))) return false;
    // acquire: the caches below it are in use.
    const std::uint32_t slots = group_->reached.load(std::memory_order_acquire);
    bool found = false;
    for (std::uint32_t slot = 0; slot < slots && !found;) {
        std::array<candidate, 16> candidates;
        std::uint32_t chosen = 0;
        for (std::uint64_t held = 0; slot < slots && chosen < candidates.size() && held < n; ++slot) {
            std::uint64_t seen = 0;
            cache &other = group_->at(slot);
            held += other.request(seen);
            if (seen != 0) candidates[chosen++] = {&other, seen};
        }
        if (chosen == 0 || !group_->barrier()) return false;
        TURBOMEM_POINT(barrier);
        for (std::uint32_t i = 0; i < chosen && n != 0; ++i) {
            if (!candidates[i].from->surrender(candidates[i].seen, *this)) continue;
            visitor_.counters.reclaims += 1;
            found = true;
            take(objects, n);
        }
    }
    return found;
}

} // namespace turbomem
