// SPDX-License-Identifier: BSD-3-Clause
/**
 * Makes a trace of bulk calls on pools, as DPDK's tracepoints tell them: they say how many objects, and not
 * which. So a put gives back the oldest objects: the thread's own, then those of others.
 */
#include <allocmark/say.h>

#include <cerrno>
#include <deque>

#include "trace_builder.hpp"

namespace allocmark {
namespace {

/** Slots by the thread that used each last, the longest ago first. */
class SlotsByThread {
  public:
    void give(uint32_t thread, uint32_t slot) {
        if (thread >= by_.size()) by_.resize(thread + 1);
        by_[thread].push_back(slot);
        ++count_;
    }
    uint64_t count() const { return count_; }
    /** One of the thread's own, else one of whoever has most. There is one. */
    uint32_t take(uint32_t thread) {
        const bool own = thread < by_.size() && !by_[thread].empty();
        auto &from = own ? by_[thread] : *std::ranges::max_element(by_, {}, &std::deque<uint32_t>::size);
        const uint32_t slot = from.front();
        from.pop_front();
        --count_;
        return slot;
    }

  private:
    std::vector<std::deque<uint32_t>> by_;
    uint64_t count_ = 0;
};

class PoolJoiner {
  public:
    PoolJoiner(TraceWriter &writer, const am_trace_pool *pools, uint32_t n_pools, uint64_t n_calls,
               am_joined &joined)
        : joined_(joined), trace_(writer, n_calls, joined), pools_(pools, pools + n_pools), out_(n_pools),
          free_(n_pools) {}

    void add(const am_pool_call &call) {
        const uint32_t thread = trace_.start(call.thread, call.ns);
        SlotsByThread &out = out_[call.pool];
        if (call.put) {
            joined_.unknown_frees += call.n - std::min<uint64_t>(call.n, out.count());
            play(call, thread, TraceOp::kFree, std::min<uint64_t>(call.n, out.count()));
        } else if (out.count() + call.n > pools_[call.pool].objects) {
            joined_.missed_frees += call.n; // it found too little
        } else {
            play(call, thread, TraceOp::kMalloc, call.n);
            pools_[call.pool].working_set = std::max(pools_[call.pool].working_set, out.count());
        }
        trace_.done();
    }
    bool finish(const char *process) { return trace_.finish(process, slots_, pools_); }

  private:
    void play(const am_pool_call &call, uint32_t thread, TraceOp op, uint64_t n) {
        const bool gets = op == TraceOp::kMalloc;
        const uint64_t size = pools_[call.pool].object_size;
        SlotsByThread &from = gets ? free_[call.pool] : out_[call.pool];
        SlotsByThread &to = gets ? out_[call.pool] : free_[call.pool];
        for (uint64_t i = 0; i < n; ++i) {
            // A slot that another thread freed lets this one wait: so no more objects are out than in the
            // program, whatever order a replay takes.
            const uint32_t slot = gets && from.count() == 0 ? slots_++ : from.take(thread);
            to.give(thread, slot);
            trace_.add(thread,
                       {.op = op,
                        .more = i + 1 < n && (i + 1) % kMostBulk != 0,
                        .pool = uint16_t(call.pool),
                        .slot = slot,
                        .size = gets ? size : 0,
                        .ns = call.ns},
                       gets ? 0 : size);
        }
    }

    am_joined &joined_;
    TraceBuilder trace_;
    std::vector<am_trace_pool> pools_;
    std::vector<SlotsByThread> out_, free_; // by pool
    uint32_t slots_ = 0;
};

} // namespace
} // namespace allocmark

using namespace allocmark;

extern "C" int am_join_pools(const am_pool_call *calls, uint64_t n_calls, const am_trace_pool *pools,
                             uint32_t n_pools, const char *to, const char *process, am_joined *joined,
                             allocmark_error *error) {
    *joined = {};
    TraceWriter writer(to, true);
    PoolJoiner joiner(writer, pools, n_pools, n_calls, *joined);
    for (uint64_t i = 0; i < n_calls; ++i) joiner.add(calls[i]);
    if (joiner.finish(process)) return 0;
    allocmark_say(error, "%s: could not be written: is there room?", to);
    return -ENOSPC;
}
