// SPDX-License-Identifier: BSD-3-Clause
/**
 * All events of a trace in an order in which they may have happened, checked: what it accepts can be played
 * by threads that wait only where an event says so, and ends.
 */
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "trace_reader.hpp"

namespace allocmark {

class TraceOrder {
  public:
    explicit TraceOrder(const TraceFile &file);

    /** The next event that does something to an object, and its thread. False: the end, or `damage`. */
    bool next(TraceEvent &event, uint32_t &thread);
    /** The next one at which all threads meet. */
    uint32_t point() const { return point_; }

    Damage damage;             // empty: none
    uint32_t most_threads = 0; // at once
    uint64_t objects = 0, most_live_bytes = 0, ns = 0;

  private:
    struct Slot {
        uint64_t size = 0;
        uint32_t turn = 0, thread = 0;
        uint16_t pool = 0;
        bool lives = false, busy = false; // busy: of a bulk that is not complete
    };
    struct Thread {
        std::unique_ptr<ThreadEvents> events; // until its end
        std::optional<TraceEvent> pending;
        bool begun = false;
        std::vector<uint32_t> bulk; // slots of one that is not complete
    };

    bool fail(const Thread &thread, const char *what);
    bool begin(uint32_t thread);
    bool advance(Thread &thread);
    enum class Step { kDone, kObject, kWaits, kFailed };
    Step step(Thread &thread, uint32_t number);
    Step on_slot(Thread &thread, uint32_t number, const TraceEvent &event);
    bool met();

    const TraceFile &file_;
    std::vector<Slot> slots_;
    std::vector<Thread> threads_;
    std::deque<uint32_t> running_; // the first one runs
    size_t waited_ = 0;            // of `running_`, in a row
    uint32_t point_ = 0;
    size_t at_point_ = 0; // threads of `running_` that have come to it
    uint64_t slots_used_ = 0, largest_ = 0;
    uint64_t events_ = 0, live_bytes_ = 0, live_objects_ = 0;
    bool begun_ = false;
};

} // namespace allocmark
