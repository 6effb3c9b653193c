// SPDX-License-Identifier: BSD-3-Clause
/** Makes a trace of calls in the order in which they happened: numbers threads, says who waits, sets points.
 */
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "trace_writer.hpp"

namespace allocmark {

class TraceBuilder {
  public:
    /** `calls`: how many there will be, which is what points are set by. */
    TraceBuilder(TraceWriter &writer, uint64_t calls, am_joined &joined)
        : writer_(writer), joined_(joined), calls_(calls),
          points_wanted_(std::min<uint64_t>(kMostPoints, calls)) {}

    /** Its number in the trace. A new one is begun by the first, which is there to the end. */
    uint32_t start(uint32_t thread, uint64_t ns) {
        if (thread >= numbers_.size()) numbers_.resize(thread + 1, kNone);
        if (numbers_[thread] != kNone) return numbers_[thread];
        const auto number = numbers_[thread] = uint32_t(threads_.size());
        threads_.push_back({});
        // Whoever is there has it started: the one that made it is not recorded.
        if (number > 0) put(0, {.op = TraceOp::kSpawn, .slot = number, .ns = std::max(ns, threads_[0].ns)});
        return number;
    }
    /** It makes no more calls. */
    void end(uint32_t number) { threads_[number].ended = true; }

    /** What a thread does to the object of a slot, which had `size_before` bytes, or 0. */
    void add(uint32_t number, TraceEvent event, uint64_t size_before = 0) {
        if (event.slot >= uses_.size()) uses_.resize(std::max<size_t>(event.slot + 1, uses_.size() * 2));
        Use &use = uses_[event.slot];
        event.waits = use.turn > 0 && use.thread != number;
        event.turn = event.waits ? use.turn : 0;
        put(number, event);
        ++use.turn;
        use.thread = number;
        live_bytes_ += event.size - size_before;
        live_objects_ += is_get(event.op);
        live_objects_ -= event.op == TraceOp::kFree;
        joined_.objects += is_get(event.op);
        joined_.peak_live_bytes = std::max(joined_.peak_live_bytes, live_bytes_);
    }
    /** `n` of the calls are done: sets the points that are due. */
    void done(uint64_t n = 1) {
        done_ += n;
        while (points_.size() + 1 < points_wanted_ && done_ * points_wanted_ >= calls_ * (points_.size() + 1))
            meet();
    }

    /** Writes the rest; whether everything could be written. `process` is a JSON object about it. */
    bool finish(const char *process, uint64_t slots, const std::vector<am_trace_pool> &pools = {}) {
        if (points_wanted_ > 0)
            points_.push_back({writer_.events(), last_ns_, live_bytes_, live_objects_, 0, 0});
        joined_.events = writer_.events();
        joined_.threads = writer_.threads();
        joined_.live_bytes = live_bytes_;
        joined_.nanoseconds = last_ns_;
        return writer_.finish(points_, pools, told(process), slots);
    }

  private:
    static constexpr uint32_t kNone = ~uint32_t(0);

    struct Thread {
        uint64_t ns = 0; // of its last event
        bool ended = false;
    };
    struct Use {
        uint32_t turn = 0, thread = 0;
    };

    void put(uint32_t number, TraceEvent event) {
        Thread &own = threads_[number];
        own.ns = event.ns = std::max(event.ns, own.ns);
        last_ns_ = std::max(last_ns_, own.ns);
        writer_.add(number, event);
    }

    /** All threads that are there meet. */
    void meet() {
        const auto k = uint32_t(points_.size());
        am_point point{writer_.events(), last_ns_, live_bytes_, live_objects_, 0, 0};
        for (uint32_t number = 0; number < threads_.size(); ++number) {
            if (number > 0 && threads_[number].ended) continue;
            ++point.threads;
            put(number, {.op = TraceOp::kPoint, .slot = k, .ns = 0});
        }
        points_.push_back(point);
    }

    std::string told(const char *process) const {
        std::string text = "{";
        const std::pair<const char *, uint64_t> numbers[] = {
            {"objects", joined_.objects},
            {"peak_live_bytes", joined_.peak_live_bytes},
            {"live_bytes", joined_.live_bytes},
            {"nanoseconds", joined_.nanoseconds},
            {"unknown_frees", joined_.unknown_frees},
            {"missed_frees", joined_.missed_frees},
        };
        for (const auto &[name, number] : numbers)
            text += std::string("\"") + name + "\":" + std::to_string(number) + ",";
        return text + "\"process\":" + process + "}";
    }

    TraceWriter &writer_;
    am_joined &joined_;
    const uint64_t calls_, points_wanted_;
    std::vector<uint32_t> numbers_; // by the caller's number
    std::vector<Thread> threads_;   // in the order of their first events
    std::vector<Use> uses_;         // by slot
    std::vector<am_point> points_;
    uint64_t live_bytes_ = 0, live_objects_ = 0, last_ns_ = 0, done_ = 0;
};

} // namespace allocmark
