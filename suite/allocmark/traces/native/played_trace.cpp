// SPDX-License-Identifier: BSD-3-Clause
#include "played_trace.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>

#include "any_size.hpp"
#include "clock.hpp"

namespace allocmark {
namespace {

constexpr uint64_t kReadAhead = 8 << 20; // events that are decoded before the clock starts
constexpr uint64_t kPage = 4096;
constexpr uint64_t kNear = 60'000; // ns before a call is due from which on its thread does not sleep
constexpr uint64_t kLongestSleep = 100'000'000; // ns after which it looks whether the replay has failed

/** Resident bytes, without allocating. */
class Resident {
  public:
    Resident() : fd_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}
    Resident(const Resident &) = delete;
    ~Resident() { close(fd_); }
    uint64_t bytes() const {
        char text[128] = {};
        unsigned long whole, resident = 0;
        if (pread(fd_, text, sizeof text - 1, 0) > 0) std::sscanf(text, "%lu %lu", &whole, &resident);
        return uint64_t(resident) * uint64_t(sysconf(_SC_PAGESIZE));
    }

  private:
    int fd_;
};

/** Where an object of the trace is. Written by whoever's turn it is. */
struct Slot {
    void *object = nullptr;
    uint64_t size = 0;
    std::atomic<uint32_t> turn{0}; // events so far
};

/** An event as it is played: 16 bytes. */
struct Call {
    uint64_t size : 48, alignment : 8, op : 7, waits : 1;
    uint32_t slot, turn;
};
static_assert(sizeof(Call) == 16);

struct Calls {
    std::vector<Call> calls;
    std::vector<uint64_t> due; // with gaps
};

/** The events of one thread as calls, a few thousand at a time, the first ones decoded beforehand. */
class Script {
  public:
    Script(const TraceFile &file, uint32_t thread, bool gaps) : events_(file, thread), gaps_(gaps) {}

    /** Decodes `n` calls that will be needed; how many there were. */
    uint64_t read_ahead(uint64_t n) {
        Calls more;
        fill(more, n);
        const uint64_t read = more.calls.size();
        if (read) ahead_.push_back(std::move(more));
        return read;
    }
    /** The next calls; empty at the end. They stay until the next time. */
    const Calls &next() {
        if (at_ < ahead_.size()) return ahead_[at_++];
        here_.calls.clear();
        here_.due.clear();
        fill(here_, kAtOnce);
        return here_;
    }
    const Damage &damage() const { return events_.damage; }

  private:
    static constexpr uint64_t kAtOnce = 4096;

    void fill(Calls &to, uint64_t n) {
        TraceEvent event;
        while (to.calls.size() < n && events_.next(event)) {
            to.calls.push_back(
                {event.size, event.alignment, uint64_t(event.op), event.waits, event.slot, event.turn});
            if (gaps_) to.due.push_back(event.ns);
        }
    }

    ThreadEvents events_;
    const bool gaps_;
    std::vector<Calls> ahead_;
    size_t at_ = 0;
    Calls here_;
};

class Stage {
  public:
    Stage(const TraceFile &file, const am_play_plan &plan, const allocmark_any_size &functions,
          am_played &played, uint64_t *resident, uint64_t *live, allocmark_error &error)
        : file_(file), plan_(plan), to_(functions), played_(played), resident_at_(resident), live_at_(live),
          error_(error), slots_(file.header.slots) {
        for (uint32_t i = 0; i < file.header.threads; ++i)
            actors_.push_back(std::make_unique<Actor>(file, i, plan.gaps));
        uint64_t room = kReadAhead;
        for (bool more = true; more && room > 0;) {
            more = false;
            for (auto &actor : actors_) {
                const uint64_t n = actor->script.read_ahead(std::min<uint64_t>(room, 1 << 16));
                room -= std::min(room, n);
                more = more || n > 0;
            }
        }
    }

    int run() {
        played_.start_bytes = resident_.bytes();
        begun_ = now_ns();
        if (!actors_.empty()) spawn(0);
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return running_ == 0; });
        }
        const uint64_t ended = now_ns();
        for (auto &actor : actors_)
            if (actor->thread.joinable()) actor->thread.join();
        if (failed_) return -ENOMEM;
        sum(ended);
        if (!file_.points.empty()) note_point(uint32_t(file_.points.size() - 1));
        for (Slot &slot : slots_)
            if (slot.object) to_.free(slot.object);
        played_.drained_bytes = resident_.bytes();
        return 0;
    }

  private:
    struct alignas(64) Actor {
        Actor(const TraceFile &file, uint32_t number, bool gaps)
            : number(number), script(file, number, gaps) {}
        const uint32_t number;
        Script script;
        std::thread thread;
        uint64_t objects = 0, late_ns = 0;
        std::atomic<int64_t> live{0}; // bytes got less bytes put; read at points
        std::unique_ptr<std::array<Histogram, 2>> late;
    };

    /** False: `fail` was told why. */
    bool spawn(uint32_t number) {
        Actor &actor = *actors_[number];
        if (plan_.gaps) actor.late = std::make_unique<std::array<Histogram, 2>>();
        {
            const std::lock_guard lock(mutex_);
            // Stacks are kept until then, and a program may make thousands of threads one after another.
            for (std::thread *each : ended_) each->join();
            ended_.clear();
            try {
                actor.thread = std::thread([this, &actor] { begin(actor); });
                ++running_;
                return true;
            } catch (const std::system_error &) {
            }
        }
        return fail("the system gave it no more threads");
    }

    void begin(Actor &actor) {
        pin(actor.number);
        if (plan_.gaps)
            act<true>(actor);
        else
            act<false>(actor);
        const std::lock_guard lock(mutex_);
        ended_.push_back(&actor.thread);
        --running_;
        meet_if_all();
        changed_.notify_all();
    }

    void pin(uint32_t number) const {
        if (plan_.n_cpus == 0) return;
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(size_t(plan_.cpus[number % plan_.n_cpus]), &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }

    template <bool Gaps> void act(Actor &actor) {
        for (;;) {
            const Calls &part = actor.script.next();
            if (part.calls.empty()) break;
            for (size_t i = 0; i < part.calls.size(); ++i) {
                const Call &call = part.calls[i];
                if constexpr (Gaps) wait_until(part.due[i]);
                if (call.op >= uint64_t(TraceOp::kSpawn)) {
                    if (call.op == uint64_t(TraceOp::kPoint))
                        meet(call.slot);
                    else if (!spawn(call.slot))
                        return;
                } else if (!play(actor, call)) {
                    return;
                }
                if constexpr (Gaps) {
                    if (call.op >= uint64_t(TraceOp::kSpawn)) continue;
                    const uint64_t late =
                        now_ns() - (begun_ + shift_.load(std::memory_order_relaxed) + part.due[i]);
                    actor.late_ns += late;
                    (*actor.late)[call.op == uint64_t(TraceOp::kFree)].add(late);
                }
            }
        }
        if (!actor.script.damage().what.empty()) fail("the trace has changed while it was played");
    }

    bool play(Actor &actor, const Call &call) {
        Slot &slot = slots_[call.slot];
        if (call.waits && !await(slot, call.turn)) return false;
        switch (TraceOp(call.op)) {
        case TraceOp::kMalloc:
            slot.object = to_.malloc(call.size);
            break;
        case TraceOp::kCalloc:
            slot.object = to_.calloc(1, call.size);
            break;
        case TraceOp::kAligned:
            slot.object = to_.aligned(size_t(1) << call.alignment, call.size);
            break;
        case TraceOp::kRealloc: {
            void *const moved = to_.realloc(slot.object, call.size);
            if (!moved) return fail("it had no memory for a realloc");
            slot.object = moved;
            if (call.size > slot.size) touch(moved, slot.size & ~(kPage - 1), call.size);
            change(actor, int64_t(call.size) - int64_t(slot.size));
            slot.size = call.size;
            pass(slot);
            return true;
        }
        default:
            to_.free(slot.object);
            slot.object = nullptr;
            change(actor, -int64_t(slot.size));
            pass(slot);
            return true;
        }
        if (!slot.object) return fail("it had no memory for an object");
        touch(slot.object, 0, call.size);
        slot.size = call.size;
        ++actor.objects;
        change(actor, int64_t(call.size));
        pass(slot);
        return true;
    }

    /** Writes a byte into each page, as a program does that uses what it asked for. */
    static void touch(void *object, uint64_t from, uint64_t to) {
        for (; from < to; from += kPage) static_cast<volatile char *>(object)[from] = 1;
    }
    static void change(Actor &actor, int64_t by) {
        actor.live.store(actor.live.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    static void pass(Slot &slot) {
        slot.turn.store(slot.turn.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

    bool await(Slot &slot, uint32_t turn) {
        if (slot.turn.load(std::memory_order_acquire) == turn) return true;
        Backoff backoff;
        uint64_t tries = 0, since = 0;
        while (slot.turn.load(std::memory_order_acquire) != turn) {
            if (failed_.load(std::memory_order_relaxed)) return false;
            if (++tries < kTries) {
                backoff.pause();
                continue;
            }
            // Other threads need the CPU more.
            const timespec pause{0, 50'000};
            nanosleep(&pause, nullptr);
            if (plan_.gaps) continue;
            const uint64_t now = now_ns();
            if (since == 0) since = now;
            if (now - since > plan_.stall_ns)
                return fail("a thread waited too long for an object of another one");
        }
        return true;
    }

    void wait_until(uint64_t due) const {
        for (;;) {
            const uint64_t at = begun_ + shift_.load(std::memory_order_relaxed) + due, now = now_ns();
            if (now >= at || failed_.load(std::memory_order_relaxed)) return;
            if (at - now > kNear) {
                const uint64_t left = std::min(at - now - kNear, kLongestSleep);
                const timespec pause{time_t(left / 1'000'000'000), long(left % 1'000'000'000)};
                nanosleep(&pause, nullptr);
            } else {
                cpu_relax();
            }
        }
    }

    /** All threads that there are meet here; the last one looks at the memory, while the clock stands still.
     */
    void meet(uint32_t point) {
        std::unique_lock lock(mutex_);
        point_ = point;
        ++waiting_;
        meet_if_all();
        changed_.wait(lock, [&] { return passed_ > point || failed_; });
    }
    void meet_if_all() {
        if (waiting_ == 0 || waiting_ < running_) return;
        const uint64_t before = now_ns();
        note_point(point_);
        waiting_ = 0;
        passed_ = point_ + 1;
        changed_.notify_all();
        shift_.fetch_add(now_ns() - before, std::memory_order_relaxed);
    }
    void note_point(uint32_t point) {
        int64_t bytes = 0;
        for (const auto &actor : actors_) bytes += actor->live.load(std::memory_order_relaxed);
        live_at_[point] = uint64_t(bytes);
        resident_at_[point] = resident_.bytes();
    }

    bool fail(const char *what) {
        const std::lock_guard lock(mutex_);
        if (!failed_.exchange(true)) allocmark_say(&error_, "%s", what);
        changed_.notify_all();
        return false;
    }

    void sum(uint64_t ended) {
        uint64_t late = 0;
        for (const auto &actor : actors_) {
            played_.objects += actor->objects;
            late += actor->late_ns;
            if (!actor->late) continue;
            for (int kind = 0; kind < 2; ++kind)
                (*actor->late)[size_t(kind)].add_to(played_.late + kind * AM_PLAY_BUCKETS);
        }
        played_.ns = plan_.gaps ? late : ended - begun_ - shift_;
    }

    static constexpr uint64_t kTries = 4096;

    const TraceFile &file_;
    const am_play_plan &plan_;
    const allocmark_any_size to_;
    am_played &played_;
    uint64_t *const resident_at_, *const live_at_;
    allocmark_error &error_;
    std::vector<Slot> slots_;
    std::vector<std::unique_ptr<Actor>> actors_;
    const Resident resident_;
    uint64_t begun_ = 0;
    std::atomic<uint64_t> shift_{0}; // ns in which the clock stood still
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::thread *> ended_; // not joined yet
    uint32_t running_ = 0, waiting_ = 0, point_ = 0, passed_ = 0;
};

static_assert(int(AM_PLAY_BUCKETS) == int(AM_BUCKETS));

/** Begins the backend and finds its functions; what is missing is said. */
bool functions_of(const TraceFile &file, const am_play_plan &plan, allocmark_any_size &found,
                  allocmark_error &error) {
    if (!plan.table) {
        found = Floor::functions();
        const bool begun = Floor::begin(file.header.largest);
        if (!begun) allocmark_say(&error, "there is no room for the largest object of the trace");
        return begun;
    }
    const allocmark_backend table = table_of(plan.table);
    allocmark_init init{};
    init.size = sizeof init;
    init.n_options = plan.n_options;
    init.options = plan.options;
    init.max_threads = std::max(1u, file.header.threads);
    if (table.init(&init, &error) != 0) return false;
    const allocmark_any_size *own = table.any_size ? table.any_size() : nullptr;
    if (!own || !own->malloc || !own->free) {
        allocmark_say(&error,
                      "hands out no malloc that takes any size: a trace is replayed on backends that do");
        return false;
    }
    std::memcpy(&found, own, std::min<size_t>(own->size, sizeof found));
    return true;
}

} // namespace

int play(const TraceFile &file, const am_play_plan &plan, am_played &played, uint64_t *resident,
         uint64_t *live, allocmark_error &error) {
    played = {};
    allocmark_any_size functions{};
    if (!functions_of(file, plan, functions, error)) return -ENOTSUP;
    const auto has = [&](TraceOp op) { return (file.header.ops >> unsigned(op) & 1) != 0; };
    const char *missing =
        has(TraceOp::kRealloc) && !functions.realloc ? "realloc, and the trace resizes objects"
        : has(TraceOp::kCalloc) && !functions.calloc ? "calloc, and the trace asks for zeroed objects"
        : has(TraceOp::kAligned) && !functions.aligned
            ? "function that aligns, and the trace asks for aligned objects"
            : nullptr;
    if (missing) {
        allocmark_say(&error, "has no %s", missing);
        return -ENOTSUP;
    }
    auto stage = std::make_unique<Stage>(file, plan, functions, played, resident, live, error);
    return stage->run();
}

} // namespace allocmark
