// SPDX-License-Identifier: BSD-3-Clause
/** What Python calls of traces. */
#include <cerrno>
#include <new>

#include "played_trace.hpp"
#include "size_classes.hpp"

using namespace allocmark;

struct am_trace {
    TraceFile file;
    std::unique_ptr<TraceOrder> order;
    uint32_t most_threads = 1;
    uint64_t objects = 0, most_live_bytes = 0, ns = 0;
};

namespace {

int damaged(const TraceFile &file, const Damage &damage, allocmark_error *error) {
    allocmark_say(error, "%s: offset %llu: %s", file.path.c_str(), (unsigned long long)damage.offset,
                  damage.what.c_str());
    return -EBADMSG;
}

/** What `work` returns; `failed` and a sentence when memory runs out. */
template <typename Result, typename Work>
Result within_memory(const char *path, allocmark_error *error, Result failed, Work work) {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        allocmark_say(error, "%s: offset 0: this process has too little memory for it", path);
        return failed;
    }
}

} // namespace

extern "C" am_trace *am_trace_open(const char *path, allocmark_error *error) {
    return within_memory(path, error, static_cast<am_trace *>(nullptr), [&]() -> am_trace * {
        auto trace = std::make_unique<am_trace>();
        Damage damage;
        if (trace->file.open(path, damage)) return trace.release();
        damaged(trace->file, damage, error);
        return nullptr;
    });
}

extern "C" void am_trace_close(am_trace *trace) {
    delete trace;
}

extern "C" void am_trace_tell(const am_trace *trace, am_trace_facts *facts) {
    const TraceHeader &header = trace->file.header;
    *facts = {header.events,
              header.slots,
              header.largest,
              trace->file.bytes,
              header.threads,
              header.points,
              trace->most_threads,
              uint32_t(trace->file.pools.size()),
              trace->objects,
              trace->most_live_bytes,
              trace->ns};
}

extern "C" void am_trace_points(const am_trace *trace, am_point *points) {
    std::copy(trace->file.points.begin(), trace->file.points.end(), points);
}

extern "C" const char *am_trace_process(const am_trace *trace, uint64_t *bytes) {
    *bytes = trace->file.process.size();
    return trace->file.process.data();
}

extern "C" int am_trace_check(am_trace *trace, allocmark_error *error) {
    return within_memory(trace->file.path.c_str(), error, -ENOMEM, [&] {
        TraceOrder order(trace->file);
        TraceEvent event;
        uint32_t thread;
        while (order.next(event, thread)) {
        }
        trace->most_threads = order.most_threads;
        trace->objects = order.objects;
        trace->most_live_bytes = order.most_live_bytes;
        trace->ns = order.ns;
        return order.damage.what.empty() ? 0 : damaged(trace->file, order.damage, error);
    });
}

extern "C" int64_t am_trace_pools(const am_trace *trace, am_trace_pool *pools, uint32_t capacity,
                                  allocmark_error *error) {
    return within_memory(trace->file.path.c_str(), error, int64_t(-ENOMEM), [&]() -> int64_t {
        std::vector<am_trace_pool> found;
        Damage damage;
        if (!pools_of(trace->file, found, damage)) return damaged(trace->file, damage, error);
        std::copy_n(found.begin(), std::min<size_t>(found.size(), capacity), pools);
        return int64_t(found.size());
    });
}

extern "C" int64_t am_trace_events(am_trace *trace, am_trace_event *events, uint64_t capacity,
                                   allocmark_error *error) {
    return within_memory(trace->file.path.c_str(), error, int64_t(-ENOMEM), [&]() -> int64_t {
        if (!trace->order) trace->order = std::make_unique<TraceOrder>(trace->file);
        uint64_t n = 0;
        TraceEvent event;
        uint32_t thread;
        while (n < capacity && trace->order->next(event, thread))
            events[n++] = {event.size,        event.ns,        event.slot,           thread,
                           uint8_t(event.op), event.alignment, uint8_t(event.waits), {}};
        if (!trace->order->damage.what.empty()) return damaged(trace->file, trace->order->damage, error);
        return int64_t(n);
    });
}

extern "C" int am_trace_play(am_trace *trace, const am_play_plan *plan, am_played *played, uint64_t *resident,
                             uint64_t *live, allocmark_error *error) {
    return within_memory(trace->file.path.c_str(), error, -ENOMEM,
                         [&] { return play(trace->file, *plan, *played, resident, live, *error); });
}

extern "C" uint64_t am_play_bucket_top(uint32_t bucket) {
    return Histogram::top(bucket);
}
