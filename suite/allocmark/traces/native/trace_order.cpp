// SPDX-License-Identifier: BSD-3-Clause
#include "trace_order.hpp"

#include <algorithm>

namespace allocmark {

TraceOrder::TraceOrder(const TraceFile &file) : file_(file), threads_(file.header.threads) {}

bool TraceOrder::fail(const Thread &thread, const char *what) {
    if (damage.what.empty()) damage = {thread.events->offset(), what};
    return false;
}

bool TraceOrder::begin(uint32_t number) {
    Thread &thread = threads_[number];
    thread.begun = true;
    thread.events = std::make_unique<ThreadEvents>(file_, number);
    running_.push_back(number);
    most_threads = std::max(most_threads, uint32_t(running_.size()));
    if (most_threads > kMostAtOnce) return fail(thread, "more threads at once than a process can have");
    return advance(thread);
}

/** Reads the thread's next event. False: `damage`. */
bool TraceOrder::advance(Thread &thread) {
    TraceEvent event;
    thread.pending.reset();
    if (thread.events->next(event)) {
        thread.pending = event;
        ++events_;
        ns = std::max(ns, event.ns);
        at_point_ += event.op == TraceOp::kPoint && event.slot == point_;
    } else if (!thread.events->damage.what.empty()) {
        damage = thread.events->damage;
        return false;
    } else if (!thread.bulk.empty()) {
        return fail(thread, "a bulk that does not end");
    }
    return true;
}

bool TraceOrder::next(TraceEvent &event, uint32_t &number) {
    if (!begun_) {
        begun_ = true;
        if (!threads_.empty() && !begin(0)) return false;
    }
    while (!running_.empty()) {
        number = running_.front();
        Thread &thread = threads_[number];
        if (!thread.pending) { // it has ended
            running_.pop_front();
            thread.events.reset();
            waited_ = 0;
            continue;
        }
        event = *thread.pending;
        switch (step(thread, number)) {
        case Step::kFailed:
            return false;
        case Step::kWaits:
            running_.push_back(number);
            running_.pop_front();
            if (++waited_ >= running_.size())
                return fail(thread, "an event that waits for one that never comes");
            continue;
        case Step::kObject:
            waited_ = 0;
            return advance(thread);
        case Step::kDone:
            waited_ = 0;
            if (!advance(thread)) return false;
        }
    }
    const uint64_t end = file_.bytes;
    if (events_ != file_.header.events)
        damage = {end, "found " + std::to_string(events_) + " events; the header has " +
                           std::to_string(file_.header.events)};
    else if (slots_used_ != file_.header.slots || largest_ != file_.header.largest)
        damage = {32, "other slots or another largest object than its events have"};
    else if (std::ranges::any_of(threads_, [](const Thread &thread) { return !thread.begun; }))
        damage = {end, "a thread that no other one begins"};
    else if (!file_.points.empty() && (point_ + 1 != file_.points.size() || !met()))
        damage = {end, "other live bytes at the end than the trace says"};
    return false;
}

/** Whether live bytes and objects are those of the point. */
bool TraceOrder::met() {
    const am_point &point = file_.points[point_];
    return point.live_bytes == live_bytes_ && point.live_objects == live_objects_;
}

TraceOrder::Step TraceOrder::step(Thread &thread, uint32_t number) {
    const TraceEvent event = *thread.pending;
    if (!thread.bulk.empty() && !is_on_slot(event.op))
        return fail(thread, "a bulk that does not end"), Step::kFailed;
    if (event.op == TraceOp::kSpawn) {
        if (event.slot >= threads_.size() || threads_[event.slot].begun)
            return fail(thread, "begins a thread that there is not, or that has begun"), Step::kFailed;
        return begin(event.slot) ? Step::kDone : Step::kFailed;
    }
    if (event.op == TraceOp::kPoint) {
        if (event.slot + 1 == point_) return Step::kDone; // the others were there, and went on
        if (event.slot != point_ || point_ + 1 >= file_.points.size())
            return fail(thread, "a point that is not the next one"), Step::kFailed;
        if (at_point_ < running_.size()) return Step::kWaits;
        if (running_.size() != file_.points[point_].threads || !met())
            return fail(thread, "other live bytes or threads at a point than the trace says"), Step::kFailed;
        ++point_;
        at_point_ = 0;
        return Step::kDone;
    }
    return on_slot(thread, number, event);
}

TraceOrder::Step TraceOrder::on_slot(Thread &thread, uint32_t number, const TraceEvent &event) {
    if (event.slot >= file_.header.slots)
        return fail(thread, "a slot that the header has not"), Step::kFailed;
    if (event.slot >= slots_.size()) slots_.resize(std::max<size_t>(event.slot + 1, 2 * slots_.size()));
    slots_used_ = std::max<uint64_t>(slots_used_, event.slot + 1);
    largest_ = std::max(largest_, event.size);
    Slot &slot = slots_[event.slot];
    if (slot.busy && slot.thread != number && event.waits) return Step::kWaits;
    if (event.waits) {
        if (slot.turn < event.turn) return Step::kWaits;
        if (slot.turn != event.turn) return fail(thread, "an event that comes too late"), Step::kFailed;
    } else if (slot.turn > 0 && slot.thread != number) {
        return fail(thread, "an object of another thread without waiting for it"), Step::kFailed;
    }
    if (slot.lives == is_get(event.op))
        return fail(thread, slot.lives ? "an object in a slot that holds one" : "no object in this slot"),
               Step::kFailed;
    const uint16_t pool = is_get(event.op) ? event.pool : slot.pool;
    if (!thread.bulk.empty()) {
        const Slot &first = slots_[thread.bulk[0]];
        if (first.pool != pool || first.lives != is_get(event.op) || thread.bulk.size() == kMostBulk)
            return fail(thread, "a bulk of several pools, of gets and puts, or too large"), Step::kFailed;
    }
    if ((file_.header.ops >> unsigned(event.op) & 1) == 0)
        return fail(thread, "a call of a kind that the header has not"), Step::kFailed;
    if (event.size > file_.header.largest)
        return fail(thread, "an object that is larger than the header says"), Step::kFailed;
    objects += is_get(event.op);
    live_objects_ += is_get(event.op);
    live_objects_ -= event.op == TraceOp::kFree;
    live_bytes_ += event.size - slot.size; // a free has size 0
    most_live_bytes = std::max(most_live_bytes, live_bytes_);
    slot = {event.size, slot.turn + 1, number, pool, event.op != TraceOp::kFree, event.more};
    if (event.more) {
        thread.bulk.push_back(event.slot);
    } else {
        for (const uint32_t done : thread.bulk) slots_[done].busy = false;
        thread.bulk.clear();
    }
    return Step::kObject;
}

} // namespace allocmark
