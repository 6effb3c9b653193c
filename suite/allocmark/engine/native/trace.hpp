// SPDX-License-Identifier: BSD-3-Clause
/** A run that is the same every time: actors take turns, and each object that changes hands is recorded. */
#pragma once

#include <atomic>
#include <cstdint>
#include <set>
#include <vector>

#include "account.hpp"
#include "clock.hpp"
#include "engine.h"

namespace allocmark {

/**
 * Lets one actor run at a time, in the order of their numbers. The one that has the turn may use what all
 * share: passing the turn on makes what it did visible to the next. Blocks; nothing here is measured.
 */
class Turns {
  public:
    /** `apart`: each actor has a CPU of its own. */
    Turns(uint32_t actors, bool apart) : soon_(apart ? kSoon : 0), seats_(actors) {
        seats_[0].turn.store(true, std::memory_order_relaxed);
    }

    /** Waits for the first turn. */
    void join(uint32_t actor) {
        // Soon, where the others run on CPUs of their own: to sleep and be woken takes far longer than a
        // call.
        for (uint32_t i = 0; i < soon_ && !seats_[actor].turn.load(std::memory_order_relaxed); ++i)
            cpu_relax();
        // acquire: pairs with `hand_to`.
        while (!seats_[actor].turn.load(std::memory_order_acquire))
            seats_[actor].turn.wait(false, std::memory_order_acquire);
    }

    /** Has the turn: lets every other actor have one, and waits for the next. */
    void pass_on(uint32_t actor) {
        const uint32_t next = after(actor);
        if (next == actor) return;
        seats_[actor].turn.store(false, std::memory_order_relaxed);
        hand_to(next);
        join(actor);
    }

    /** Has the turn and needs no more. */
    void leave(uint32_t actor) {
        seats_[actor].present = false;
        const uint32_t next = after(actor);
        if (next != actor) hand_to(next);
    }

  private:
    static constexpr uint32_t kSoon = 1000; // pauses: some 20 us

    struct alignas(128) Seat {
        std::atomic<bool> turn{false};
        bool present = true; // read and written by whoever has the turn
    };

    /** The next one that is still there; `actor` itself when there is no other. */
    uint32_t after(uint32_t actor) const {
        uint32_t next = actor;
        do next = (next + 1) % uint32_t(seats_.size());
        while (next != actor && !seats_[next].present);
        return next;
    }

    void hand_to(uint32_t actor) {
        // release: what was done in this turn is there in the next.
        seats_[actor].turn.store(true, std::memory_order_release);
        seats_[actor].turn.notify_one();
    }

    const uint32_t soon_;
    std::vector<Seat> seats_;
};

/** The events of a run in turns, after the first `skip` objects that were got, as far as there is room. */
class Trace {
  public:
    Trace(const am_plan &plan, uint64_t skip, am_event *events, uint64_t capacity, Account *account = nullptr)
        : turns(plan.n_actors, are_apart(plan)), skip_(skip), events_(events), capacity_(capacity),
          account_(account) {}

    Turns turns;

    // Around each call, by the actor that has the turn.

    void calling(uint32_t pool, void *local) {
        if (account_) account_->calling(pool, local);
    }
    void got(uint32_t actor, uint32_t pool, void *local, void *const *objects, uint32_t n) {
        const bool counts = seen_ >= skip_;
        seen_ += n;
        if (counts) add(actor, pool, objects, n, 0);
        if (account_) account_->called(AM_CALL_GET, actor, pool, local, n, counts);
    }
    void putting(uint32_t actor, uint32_t pool, void *local, void *const *objects, uint32_t n) {
        if (seen_ > skip_) add(actor, pool, objects, n, 1);
        calling(pool, local);
    }
    void put(uint32_t actor, uint32_t pool, void *local, uint32_t n) {
        if (account_) account_->called(AM_CALL_PUT, actor, pool, local, n, seen_ > skip_);
    }

    /** A get found too little. Whether the run ends with that, and is not to wait. */
    bool ends_here(uint32_t pool) { return account_ && account_->fail(pool); }

    /** Whether the bytes of objects are touched: what is accounted for does not depend on them. */
    bool touches() const { return !account_; }

    uint64_t recorded() const { return recorded_; }

  private:
    static bool are_apart(const am_plan &plan) {
        std::set<int32_t> cpus;
        for (uint32_t a = 0; a < plan.n_actors; ++a) cpus.insert(plan.actors[a].cpu);
        return cpus.size() == plan.n_actors && *cpus.begin() >= 0;
    }

    void add(uint32_t actor, uint32_t pool, void *const *objects, uint32_t n, uint32_t put) {
        for (uint32_t i = 0; i < n && recorded_ < capacity_; ++i)
            events_[recorded_++] = {reinterpret_cast<uintptr_t>(objects[i]), uint16_t(actor), uint16_t(pool),
                                    put};
    }

    uint64_t skip_, seen_ = 0, recorded_ = 0;
    am_event *events_;
    uint64_t capacity_;
    Account *account_; // null: nobody asked
};

} // namespace allocmark
