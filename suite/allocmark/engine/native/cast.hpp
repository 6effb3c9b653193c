// SPDX-License-Identifier: BSD-3-Clause
/** The actors of an engine with their memory, queues and threads: all that a seed places. */
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "actor.hpp"
#include "crew.hpp"

namespace allocmark {

/** For one thread at a time. `backend` and `pools` outlive it, as do the arrays of the plan. */
class Cast {
  public:
    /** Starts a thread for each actor. Throws when the system gives too little. */
    Cast(const am_plan &plan, uint64_t layout_seed, const allocmark_backend &backend,
         const std::vector<Pool> &pools, Ledger *ledger);
    /** Leaves the pools and ends the threads. What is still held is lost. */
    ~Cast();

    /** Pins the threads and enters the pools. False: `error` says why. */
    bool begin(allocmark_error &error);

    /** Every actor does `what(actor)`, each on its own thread; returns when all are done. */
    template <class What> void all(What what, uint64_t limit_ns = 0) {
        crew_.carry_out([&](uint32_t index) { what(*actors_[index]); }, limit_ns, &shared_.stop);
    }
    /** The first actor alone does it. */
    template <class What> void first(What what) {
        all([&](Actor &actor) {
            if (actor.index == 0) what(actor);
        });
    }
    /** `samples` has an entry per actor, or is null. */
    void sample(Watch how, uint64_t units, am_actor_sample *samples);

    /** 0, or -1 with the first trouble since the cast began. */
    int outcome(am_trouble *trouble);

    const std::vector<Actor *> &actors() const { return actors_; }
    const std::vector<Piece> &pieces(const Actor &actor) const { return arenas_[actor.index]->pieces(); }
    const std::vector<Piece> &shared_pieces() const { return common_.pieces(); }
    /** While an engine traces. */
    void trace(Trace *trace) { shared_.trace = trace; }

  private:
    /** A stream of draws; actors have the others, by their numbers. */
    static constexpr uint64_t kCommon = uint64_t(1) << 32;

    const uint64_t limit_ns_; // of a sample
    Arena common_;            // what the actors share
    Shared &shared_;
    std::vector<Queue *> queues_;
    std::vector<std::unique_ptr<Arena>> arenas_; // by actor
    std::vector<Actor *> actors_;
    Crew crew_;
};

} // namespace allocmark
