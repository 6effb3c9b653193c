// SPDX-License-Identifier: BSD-3-Clause
/**
 * Makes a trace of a recording: the threads' calls in one order, addresses turned into slots.
 *
 * The order is that of the clock that records carry, which is read after a call that returns an object and
 * before one that gives it up: so an object's events come in their order, whatever thread they are of. As a
 * processor may read its clock a little early, a call that cannot be yet (a free of what does not live, a
 * malloc of what does) waits for those of other threads that lie within kWindow.
 */
#include <allocmark/say.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <queue>
#include <utility>
#include <vector>

#include "live_objects.hpp"
#include "recorded_thread.hpp"
#include "trace_builder.hpp"

namespace allocmark {
namespace {

constexpr uint64_t kWindow = 400'000; // ticks, more than 0.1 ms
constexpr size_t kOwnSlots = 1 << 16; // that a thread keeps for itself

uint64_t clock_now(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return uint64_t(t.tv_sec) * 1'000'000'000u + uint64_t(t.tv_nsec);
}

uint64_t ticks_now() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return clock_now(CLOCK_MONOTONIC);
#endif
}

/**
 * Slots are used again, so that a replay needs as much memory as lived. A thread first takes those that it
 * freed itself: another's would make it wait for that one. Only what is too many goes to all.
 */
class Slots {
  public:
    uint32_t take(uint32_t thread) {
        auto &own = of(thread);
        uint32_t slot;
        if (!own.empty()) {
            slot = own.back();
            own.pop_back();
        } else if (!shared_.empty()) {
            slot = shared_.front();
            shared_.pop_front();
        } else {
            slot = count_++;
        }
        return slot;
    }
    void give(uint32_t thread, uint32_t slot) {
        auto &own = of(thread);
        own.push_back(slot);
        if (own.size() < kOwnSlots) return;
        shared_.insert(shared_.end(), own.begin(), own.begin() + kOwnSlots / 2);
        own.erase(own.begin(), own.begin() + kOwnSlots / 2);
    }
    void end(uint32_t thread) {
        auto &own = of(thread);
        shared_.insert(shared_.end(), own.begin(), own.end());
        std::deque<uint32_t>().swap(own);
    }
    uint32_t count() const { return count_; }

  private:
    std::deque<uint32_t> &of(uint32_t thread) {
        if (thread >= own_.size()) own_.resize(thread + 1);
        return own_[thread];
    }

    std::vector<std::deque<uint32_t>> own_;
    std::deque<uint32_t> shared_;
    uint32_t count_ = 0;
};

class Joiner {
  public:
    Joiner(int file, const am_recording &head, TraceWriter &writer, am_joined &joined)
        : file_(file), head_(head), joined_(joined), trace_(writer, scan(), joined) {}

    bool run(const char *process) {
        set_clock();
        threads_.resize(recorded_.size());
        for (uint32_t i = 0; i < recorded_.size(); ++i) next(i);
        if (!ready_.empty()) start(ready_.top().second); // it meets the others even if it has nothing to tell
        while (!ready_.empty() || !blocked_.empty()) step();
        return trace_.finish(process, slots_.count());
    }

  private:
    static constexpr uint32_t kNone = ~uint32_t(0);

    struct Thread {
        uint32_t number = kNone; // in the trace
        bool moving = false;     // inside a realloc of a known object
        LiveObjects::Entry moved{};
    };

    /** Finds the chunks; how many calls there are. */
    uint64_t scan() {
        struct stat found{};
        fstat(file_, &found);
        const uint64_t size = uint64_t(found.st_size);
        for (uint64_t at = AM_RECORDING_PAGE; at + sizeof(am_recorded_chunk) <= size;) {
            am_recorded_chunk chunk;
            if (pread(file_, &chunk, sizeof chunk, off_t(at)) != ssize_t(sizeof chunk)) break;
            if (chunk.magic != AM_CHUNK_MAGIC || chunk.bytes < sizeof chunk || chunk.thread >= kMostThreads)
                break;
            const auto bytes = uint32_t(std::min<uint64_t>(chunk.bytes, size - at));
            if (chunk.thread >= recorded_.size()) recorded_.resize(chunk.thread + 1);
            recorded_[chunk.thread].chunks.push_back({at, bytes, chunk.number});
            at += bytes;
        }
        std::erase_if(recorded_, [](const RecordedThread &thread) { return thread.chunks.empty(); });
        for (auto &thread : recorded_) std::ranges::sort(thread.chunks, {}, &RecordedThread::Chunk::number);
        uint64_t calls = 0;
        for (RecordedThread counted : recorded_) // a copy
            while (counted.advance(file_)) ++calls;
        return calls;
    }

    /** The next call, if it can be. */
    void step() {
        const bool none = ready_.empty();
        const auto first = std::ranges::min_element(blocked_, {}, [&](uint32_t i) { return ticks(i); });
        const bool forced = first != blocked_.end() && (none || ready_.top().first > ticks(*first) + kWindow);
        uint32_t thread;
        if (forced) {
            thread = *first;
            blocked_.erase(first);
        } else {
            thread = ready_.top().second;
            ready_.pop();
        }
        if (!execute(thread, forced)) {
            blocked_.push_back(thread);
            return;
        }
        next(thread);
        trace_.done();
    }

    uint64_t ticks(uint32_t i) const { return recorded_[i].call.ticks; }

    void set_clock() {
        const uint64_t ns = clock_now(CLOCK_MONOTONIC), ticks = ticks_now();
        const bool usable = ns > head_.ns && ticks > head_.ticks; // else the machine was started anew
        ns_per_tick_ = usable ? double(ns - head_.ns) / double(ticks - head_.ticks) : 0.4;
    }
    uint64_t ns_at(uint64_t ticks) const {
        return ticks <= head_.ticks ? 0 : uint64_t(double(ticks - head_.ticks) * ns_per_tick_);
    }

    void next(uint32_t i) {
        if (recorded_[i].advance(file_)) {
            ready_.push({ticks(i), i});
        } else if (threads_[i].number != kNone) {
            trace_.end(threads_[i].number);
            if (threads_[i].number != 0) slots_.end(threads_[i].number);
        }
    }

    /** False: it cannot be yet. `forced`: nothing that it could wait for will come. */
    bool execute(uint32_t i, bool forced) {
        const RecordedCall &call = recorded_[i].call;
        Thread &own = threads_[i];
        switch (call.kind) {
        case AM_R_MALLOC:
        case AM_R_CALLOC:
        case AM_R_ALIGNED:
            if (!clear(i, forced)) return false;
            get(i, call);
            return true;
        case AM_R_FREE:
        case AM_R_LEAVE: {
            const bool leaves = call.kind == AM_R_LEAVE;
            if (live_.find(call.address) == nullptr) {
                if (!forced) return false;
                joined_.unknown_frees += !leaves;
                if (leaves) own.moving = false;
                return true;
            }
            const auto taken = live_.take(call.address);
            if (leaves) { // it lives on, at no address
                own.moving = true;
                own.moved = taken;
            } else {
                put_back(i, taken);
            }
            wake(call.address);
            return true;
        }
        case AM_R_ARRIVE: {
            if (call.address != 0 && !clear(i, forced)) return false;
            const bool moving = std::exchange(own.moving, false);
            if (!moving) {
                if (call.address != 0) get(i, {AM_R_MALLOC, call.address, call.size, 0, call.ticks});
            } else if (call.address != 0) {
                lives({call.address, call.size, own.moved.slot});
                emit(i, {.op = TraceOp::kRealloc, .slot = own.moved.slot, .size = call.size}, own.moved.size);
            } else if (call.size == 0) {
                put_back(i, own.moved);
            } else { // it failed, and the object stays
                lives(own.moved);
            }
            return true;
        }
        default:
            return true; // of a later version, or damaged
        }
    }

    /** Whether the address of the thread's call is free. When forced, what lives there goes: its free was not
     * seen. */
    bool clear(uint32_t i, bool forced) {
        const uint64_t address = recorded_[i].call.address;
        if (live_.find(address) == nullptr) return true;
        if (!forced) return false;
        ++joined_.missed_frees;
        put_back(i, live_.take(address));
        return true;
    }

    void put_back(uint32_t i, const LiveObjects::Entry &object) {
        emit(i, {.op = TraceOp::kFree, .slot = object.slot}, object.size);
        slots_.give(threads_[i].number, object.slot);
    }

    void get(uint32_t i, const RecordedCall &call) {
        start(i);
        const uint32_t slot = slots_.take(threads_[i].number);
        lives({call.address, call.size, slot});
        const auto op = call.kind == AM_R_MALLOC   ? TraceOp::kMalloc
                        : call.kind == AM_R_CALLOC ? TraceOp::kCalloc
                                                   : TraceOp::kAligned;
        const bool aligned = call.alignment != 0 && (call.alignment & (call.alignment - 1)) == 0;
        const int alignment = aligned ? std::min(40, __builtin_ctzll(call.alignment)) : 4;
        emit(i, {.op = op, .alignment = uint8_t(alignment), .slot = slot, .size = call.size});
    }

    void lives(const LiveObjects::Entry &entry) {
        live_.insert(entry);
        wake(entry.address);
    }

    void wake(uint64_t address) {
        for (size_t k = 0; k < blocked_.size();) {
            const uint32_t i = blocked_[k];
            if (recorded_[i].call.address != address) {
                ++k;
                continue;
            }
            ready_.push({ticks(i), i});
            blocked_.erase(blocked_.begin() + long(k));
        }
    }

    void start(uint32_t i) {
        if (threads_[i].number == kNone) threads_[i].number = trace_.start(i, ns_at(ticks(i)));
    }

    void emit(uint32_t i, TraceEvent event, uint64_t size_before = 0) {
        start(i);
        event.ns = ns_at(ticks(i));
        trace_.add(threads_[i].number, event, size_before);
    }

    const int file_;
    const am_recording &head_;
    am_joined &joined_;
    std::vector<RecordedThread> recorded_;
    TraceBuilder trace_;
    std::vector<Thread> threads_;
    std::vector<uint32_t> blocked_;
    using Due = std::pair<uint64_t, uint32_t>;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> ready_;
    LiveObjects live_;
    Slots slots_;
    double ns_per_tick_ = 1;
};

} // namespace
} // namespace allocmark

using namespace allocmark;

extern "C" int am_join(const char *from, const char *to, const char *process, am_joined *joined,
                       allocmark_error *error) {
    *joined = {};
    const int file = open(from, O_RDONLY | O_CLOEXEC);
    am_recording head{};
    const bool read = file >= 0 && pread(file, &head, sizeof head, 0) == ssize_t(sizeof head);
    int failed = 0;
    if (!read || head.magic != AM_RECORDING_MAGIC || head.version != AM_RECORDING_VERSION) {
        allocmark_say(error, "%s: offset 0: expected a recording of version %d", from, AM_RECORDING_VERSION);
        failed = -EINVAL;
    } else {
        TraceWriter writer(to, false);
        if (!Joiner(file, head, writer, *joined).run(process)) {
            allocmark_say(error, "%s: could not be written: is there room?", to);
            failed = -ENOSPC;
        }
    }
    if (file >= 0) close(file);
    return failed;
}
