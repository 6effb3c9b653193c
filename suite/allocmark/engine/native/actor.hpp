// SPDX-License-Identifier: BSD-3-Clause
/** One actor, and all that its thread can be told to do. */
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "interpreter.hpp"

namespace allocmark {

struct Pool {
    std::string name;
    allocmark_pool_spec spec;
    void *handle = nullptr;
};

/** Where the actors of a sample meet: the last one to arrive sets the start for all, a little ahead. */
class CommonStart {
  public:
    explicit CommonStart(size_t actors) : actors_(actors) {}

    /** The time of the start, which has not come yet. */
    uint64_t meet();

  private:
    const size_t actors_;
    alignas(128) std::atomic<uint32_t> arrived_{0};
    alignas(128) std::atomic<uint64_t> start_ns_{0};
};

/** Its functions are for its own thread. `pools` and `backend` outlive it. It lies in `arena`, as do its
 * parts. */
class Actor {
  public:
    Actor(uint32_t index, const am_actor &plan, const allocmark_backend &backend,
          const std::vector<Pool> &pools, std::span<Queue *const> queues, Shared &shared, Arena &arena);

    /** Pins the thread and enters the pools that this actor uses. False: `error` says why. */
    bool begin(allocmark_error &error);
    /** The first pool that this actor uses and has not entered; -1: none. */
    int32_t outside() const;
    /** Leaves every pool that it has entered. */
    void leave();

    /** Runs the prologue and the iterations that follow it. */
    void settle(Watch how);
    /** One sample of `units` times its iterations. */
    am_actor_sample sample(Watch how, uint64_t units, CommonStart &meeting);
    /** A whole run, in turns with the others: see am_engine_count. */
    void count(uint64_t units);
    /** Puts back everything that is held, and what a run that ended early left in queues to this actor. */
    void drain();
    /** See am_engine_reference_burst. */
    double reference_burst(uint32_t bulk, uint32_t keep, uint32_t touch, uint64_t bursts);
    /** Takes every object out of a pool and puts it back. False when some are missing: trouble. `stranded`:
     * the objects that this thread could not get, though the pool counts them. */
    bool check_complete(uint32_t pool, uint64_t &stranded);

    CallTimer &timer(am_call call) { return interpreter_.timer(call); }
    Recorder &recorder() { return interpreter_.recorder(); }
    /** The ring of a pool, or behind the last pool the mixed one. */
    const Ring &held(uint32_t ring) { return interpreter_.pools()[ring].held; }

    const uint32_t index;

  private:
    bool enter(uint32_t pool, allocmark_error &error);
    /** Pins the calling thread, and with it those that it starts. */
    bool pin(allocmark_error &error) const;
    /** Enters the pools that this actor uses. */
    bool join(allocmark_error &error);
    /** Does `work` on this thread, or on one of its own if this actor's threads end. */
    template <class Work> void live(Work work);
    /** Runs a tape in that way. False when the engine is to stop. */
    bool run(std::span<const am_insn> tape, Watch how);

    const am_actor plan_;
    Arena &arena_;
    const std::span<const am_insn> prologue_, body_;
    const allocmark_backend &backend_;
    const std::vector<Pool> &pools_;
    Shared &shared_;
    const std::span<bool> entered_; // by pool
    uint64_t switches_ = 0;         // times the kernel took the CPU away from threads that have ended
    bool known_ = false;            // its handles are noted
    Interpreter interpreter_;
};

} // namespace allocmark
