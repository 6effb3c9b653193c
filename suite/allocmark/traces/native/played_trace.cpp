// SPDX-License-Identifier: BSD-3-Clause
#include "played_trace.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

#include "backend_table.hpp"
#include "clock.hpp"
#include "floor.hpp"
#include "on_malloc.hpp"
#include "on_pools.hpp"
#include "size_classes.hpp"

namespace allocmark {
namespace {

constexpr uint64_t kReadAhead = 8 << 20; // events that are decoded before the clock starts
constexpr uint64_t kPage = 4096;
constexpr uint64_t kNear = 60'000; // ns before a call is due from which on its thread does not sleep
constexpr uint64_t kLongestGap = 3'600'000'000'000; // ns that a program may do nothing
constexpr uint64_t kLongestSleep = 100'000'000;     // ns after which it looks whether the replay has failed

/** Resident bytes, huge pages of hugetlb included, without allocating. */
class Resident {
  public:
    Resident() : fd_(open("/proc/self/status", O_RDONLY | O_CLOEXEC)) {}
    Resident(const Resident &) = delete;
    ~Resident() { close(fd_); }
    uint64_t bytes() const {
        char text[8192] = {};
        if (pread(fd_, text, sizeof text - 1, 0) <= 0) return 0;
        return kilobytes(text, "\nVmRSS:") + kilobytes(text, "\nHugetlbPages:");
    }

  private:
    static uint64_t kilobytes(const char *text, const char *key) {
        const char *const found = std::strstr(text, key);
        return found ? std::strtoull(found + std::strlen(key), nullptr, 10) << 10 : 0;
    }

    int fd_;
};

struct Calls {
    std::vector<Call> calls;
    std::vector<uint64_t> due; // with gaps
};

/** The events of one thread as calls, a few thousand at a time, the first ones decoded beforehand. */
class Script {
  public:
    Script(const TraceFile &file, uint32_t thread, bool gaps, const SizeClasses *classes)
        : events_(file, thread), gaps_(gaps), classes_(classes) {}

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
        // A bulk is not cut.
        while ((to.calls.size() < n || to.calls.back().more) && events_.next(event)) {
            to.calls.push_back({event.size, place(event), uint64_t(event.op), event.waits, event.more,
                                event.slot, event.turn});
            if (gaps_) to.due.push_back(event.ns);
        }
    }
    uint64_t place(const TraceEvent &event) const {
        if (!has_size(event.op)) return 0;
        if (!classes_) return event.alignment;
        return classes_->empty() ? event.pool : classes_->pool_of(event);
    }

    ThreadEvents events_;
    const bool gaps_;
    const SizeClasses *const classes_; // of the pools; NULL: malloc is called
    std::vector<Calls> ahead_;
    size_t at_ = 0;
    Calls here_;
};

/** The threads of a trace, and what they play on: OnMalloc or OnPools. */
template <class To> class Stage {
  public:
    Stage(const TraceFile &file, const am_play_plan &plan, To to, const SizeClasses *classes,
          am_played &played, uint64_t *resident, uint64_t *live, allocmark_error &error)
        : file_(file), plan_(plan), to_(std::move(to)), played_(played), resident_at_(resident),
          live_at_(live), error_(error), slots_(file.header.slots) {
        for (uint32_t place = plan.max_threads; place > 0; --place) places_.push_back(place - 1);
        for (uint32_t i = 0; i < file.header.threads; ++i)
            actors_.push_back(std::make_unique<Actor>(file, i, plan.gaps, classes));
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
        if (!to_.begin(error_)) return -ENOTSUP;
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
        if (!drain()) return -ENOMEM;
        played_.drained_bytes = resident_.bytes();
        return 0;
    }

  private:
    struct alignas(64) Actor {
        Actor(const TraceFile &file, uint32_t number, bool gaps, const SizeClasses *classes)
            : number(number), script(file, number, gaps, classes) {}
        const uint32_t number;
        Script script;
        typename To::Own own;
        uint32_t place = 0; // of all that may be there at once
        std::thread thread;
        uint64_t objects = 0, in_calls_ns = 0; // the latter with gaps
        std::atomic<int64_t> live{0};          // bytes got less bytes put; read at points
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
        const int32_t cpu = plan_.n_cpus ? plan_.cpus[actor.number % plan_.n_cpus] : -1;
        pin(cpu);
        if (take_place(actor)) {
            perform(actor, cpu);
            to_.leave(actor.own);
        }
        const std::lock_guard lock(mutex_);
        places_.push_back(actor.place);
        ended_.push_back(&actor.thread);
        --running_;
        meet_if_all();
        changed_.notify_all();
    }

    /** It may have to wait until one that has made all of its calls is gone. */
    bool take_place(Actor &actor) {
        std::unique_lock lock(mutex_);
        const auto longest = std::chrono::nanoseconds(plan_.gaps ? kLongestGap : plan_.stall_ns);
        if (!changed_.wait_for(lock, longest, [&] { return !places_.empty() || failed_; })) {
            lock.unlock();
            return fail("a thread waited too long for another one to end");
        }
        if (failed_) return false;
        actor.place = places_.back();
        places_.pop_back();
        return true;
    }

    void perform(Actor &actor, int32_t cpu) {
        allocmark_error error{};
        if (!to_.enter(actor.own, actor.place, cpu, error)) {
            fail(error.message);
            return;
        }
        if (actor.number == 0) begun_ = now_ns(); // it begins the others
        if (plan_.gaps)
            act<true>(actor);
        else
            act<false>(actor);
    }

    static void pin(int32_t cpu) {
        if (cpu < 0) return;
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(size_t(cpu), &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }

    template <bool Gaps> void act(Actor &actor) {
        for (;;) {
            const Calls &part = actor.script.next();
            if (part.calls.empty()) break;
            for (size_t i = 0, n; i < part.calls.size(); i += n) {
                const Call &call = part.calls[i];
                for (n = 1; part.calls[i + n - 1].more;) ++n;
                if constexpr (Gaps) wait_until(part.due[i]);
                if (call.op >= uint64_t(TraceOp::kSpawn)) {
                    if (call.op == uint64_t(TraceOp::kPoint))
                        meet(call.slot);
                    else if (!spawn(call.slot))
                        return;
                    continue;
                }
                if (!await_all({&call, n})) return;
                const uint64_t before = Gaps ? now_ns() : 0;
                if (!play(actor, {&call, n})) return;
                if constexpr (Gaps) {
                    const uint64_t now = now_ns();
                    actor.in_calls_ns += now - before;
                    const uint64_t due = begun_ + shift_.load(std::memory_order_relaxed) + part.due[i];
                    (*actor.late)[call.op == uint64_t(TraceOp::kFree)].add(now - due);
                }
            }
        }
        if (!actor.script.damage().what.empty()) fail("the trace has changed while it was played");
    }

    /** Until other threads are done with the objects. */
    bool await_all(Bulk calls) {
        for (const Call &call : calls)
            if (call.waits && !await(slots_[call.slot], call.turn)) return false;
        return true;
    }

    bool play(Actor &actor, Bulk calls) {
        if (const char *why = to_.play(actor.own, calls, slots_.data())) return fail(why);
        for (const Call &call : calls) {
            Slot &slot = slots_[call.slot];
            if (call.op < uint64_t(TraceOp::kRealloc)) {
                touch(slot.object, 0, call.size);
                ++actor.objects;
            } else if (call.size > slot.size) { // a realloc
                touch(slot.object, slot.size & ~(kPage - 1), call.size);
            }
            change(actor, int64_t(call.size) - int64_t(slot.size)); // a free has size 0
            slot.size = call.size;
            pass(slot);
        }
        return true;
    }

    /** The main thread gives back what the program kept. */
    bool drain() {
        typename To::Own own;
        if (!to_.enter(own, plan_.max_threads, -1, error_)) return false;
        for (Slot &slot : slots_)
            if (slot.object) to_.give_back(own, slot);
        to_.leave(own);
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
        {
            const std::lock_guard lock(mutex_);
            point_ = point;
            ++waiting_;
            meet_if_all();
        }
        // To be woken takes longer than the others take, mostly.
        Backoff backoff;
        for (uint64_t tries = 0; tries < kTries && passed_ <= point; ++tries) backoff.pause();
        std::unique_lock lock(mutex_);
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
        uint64_t in_calls = 0;
        for (const auto &actor : actors_) {
            played_.objects += actor->objects;
            in_calls += actor->in_calls_ns;
            if (!actor->late) continue;
            for (int kind = 0; kind < 2; ++kind)
                (*actor->late)[size_t(kind)].add_to(played_.late + kind * AM_PLAY_BUCKETS);
        }
        played_.ns = plan_.gaps ? in_calls : ended - begun_ - shift_;
    }

    static constexpr uint64_t kTries = 4096;

    const TraceFile &file_;
    const am_play_plan &plan_;
    To to_;
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
    std::vector<uint32_t> places_;     // that no thread has
    uint32_t running_ = 0, waiting_ = 0, point_ = 0;
    std::atomic<uint32_t> passed_{0};
};

static_assert(int(AM_PLAY_BUCKETS) == int(AM_BUCKETS));

/** Begins the backend. */
bool init(const am_play_plan &plan, const allocmark_backend &table, bool on_pools, allocmark_error &error) {
    std::vector<uint32_t> cpus(plan.cpus, plan.cpus + plan.n_cpus);
    allocmark_init init{};
    init.size = sizeof init;
    init.n_options = plan.n_options;
    init.options = plan.options;
    init.max_threads = plan.max_threads + 1;
    init.n_cpus = plan.n_cpus;
    init.cpus = cpus.data();
    for (uint32_t i = 0; i < plan.n_pools && on_pools; ++i)
        init.pool_bytes += plan.pools[i].object_size * plan.pools[i].objects;
    return table.init(&init, &error) == 0;
}

/** Its malloc functions; what is missing is said. */
bool functions_of(const TraceFile &file, const allocmark_backend &table, allocmark_any_size &found,
                  allocmark_error &error) {
    const allocmark_any_size *own = table.any_size();
    if (!own || !own->malloc || !own->free) {
        allocmark_say(&error, "hands out no malloc and free, as its table says that it does");
        return false;
    }
    std::memcpy(&found, own, std::min<size_t>(own->size, sizeof found));
    const auto has = [&](TraceOp op) { return (file.header.ops >> unsigned(op) & 1) != 0; };
    const char *missing = has(TraceOp::kRealloc) && !found.realloc ? "realloc, and the trace resizes objects"
                          : has(TraceOp::kCalloc) && !found.calloc
                              ? "calloc, and the trace asks for zeroed objects"
                          : has(TraceOp::kAligned) && !found.aligned
                              ? "function that aligns, and the trace asks for aligned objects"
                              : nullptr;
    if (missing) allocmark_say(&error, "has no %s", missing);
    return !missing;
}

} // namespace

int play(const TraceFile &file, const am_play_plan &plan, am_played &played, uint64_t *resident,
         uint64_t *live, allocmark_error &error) {
    played = {};
    const auto run = [&](auto to, const SizeClasses *classes) {
        using Played = Stage<decltype(to)>;
        return std::make_unique<Played>(file, plan, std::move(to), classes, played, resident, live, error)
            ->run();
    };
    if (!plan.table && !Floor::begin(file.header.largest)) {
        allocmark_say(&error, "there is no room for the largest object of the trace");
        return -ENOTSUP;
    }
    const allocmark_backend table = plan.table ? table_of(plan.table) : Floor::pools();
    // Some pools serve any size, and are no malloc.
    const bool on_pools = plan.table ? !table.any_size : !file.pools.empty();
    if (!init(plan, table, on_pools, error)) return -ENOTSUP;
    if (on_pools) {
        const SizeClasses classes(file, {plan.pools, plan.n_pools});
        return run(OnPools(table, plan), &classes);
    }
    allocmark_any_size functions = Floor::functions();
    if (plan.table && !functions_of(file, table, functions, error)) return -ENOTSUP;
    return run(OnMalloc(functions), nullptr);
}

} // namespace allocmark
