// SPDX-License-Identifier: BSD-3-Clause
#include "actor.hpp"

#include <allocmark/say.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <system_error>
#include <thread>

#include "doing.hpp"
#include "reference.hpp"

namespace allocmark {

namespace {

uint64_t involuntary_switches() {
    rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return uint64_t(usage.ru_nivcsw);
}

/** ns that the calling thread could have run, and had no CPU; -1: the kernel does not tell. */
int64_t waited_ns() {
    const int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    char text[64];
    const ssize_t n = read(file, text, sizeof text - 1);
    close(file);
    text[n > 0 ? n : 0] = '\0';
    long long ran, waited, slices; // none: it does not count
    return std::sscanf(text, "%lld %lld %lld", &ran, &waited, &slices) == 3 && slices > 0 ? waited : -1;
}

/** From the last arrival to the common start: time for everyone to see it, and to be waiting for it. */
constexpr uint64_t kLeadNs = 5'000;

/** A copy of a tape, with its AM_HALT. */
std::span<const am_insn> tape(Arena &arena, const char *what, const am_insn *from) {
    const am_insn *end = from;
    while (end->op != AM_HALT) ++end;
    return arena.copy(what, from, size_t(end + 1 - from));
}

/** Of each pool, and behind them the mixed ring. Where all is held there, the others stay empty. */
std::span<PoolView> views(Arena &arena, const std::vector<Pool> &pools, const am_actor &plan) {
    const auto n = uint32_t(pools.size());
    const std::span<PoolView> views = arena.array<PoolView>("pools", n + 1);
    for (uint32_t pool = 0; pool < n; ++pool) {
        views[pool].pool = pools[pool].handle;
        views[pool].object_size = pools[pool].spec.object_size;
        if (plan.ring_capacity[pool] > 0)
            views[pool].held = Ring(arena, pool, plan.mixed_capacity ? 1 : plan.ring_capacity[pool]);
    }
    if (plan.mixed_capacity > 0) views[n].held = Ring(arena, n, plan.mixed_capacity);
    return views;
}

} // namespace

uint64_t CommonStart::meet() {
    // relaxed: they agree on a time and hand over no data; what a sample needs came with the order.
    if (arrived_.fetch_add(1, std::memory_order_relaxed) + 1 == actors_)
        start_ns_.store(now_ns() + kLeadNs, std::memory_order_relaxed);
    Backoff backoff;
    while (start_ns_.load(std::memory_order_relaxed) == 0) backoff.pause();
    return start_ns_.load(std::memory_order_relaxed);
}

Actor::Actor(uint32_t number, const am_actor &plan, const allocmark_backend &backend,
             const std::vector<Pool> &pools, std::span<Queue *const> queues, Shared &shared, Arena &arena)
    : index(number), plan_(plan), arena_(arena), prologue_(tape(arena, "prologue", plan.prologue)),
      body_(tape(arena, "body", plan.body)), backend_(backend), pools_(pools), shared_(shared),
      entered_(arena.array<bool>("entered", pools.size())),
      // In braces, so that the pieces are taken in this order.
      interpreter_{int32_t(number),
                   backend,
                   shared,
                   views(arena, pools, plan),
                   arena.copy("queues", queues.data(), queues.size()),
                   arena.copy("indices", plan.indices, plan.n_indices),
                   arena} {}

bool Actor::begin(allocmark_error &error) {
    if (!pin(error)) return false;
    bool good = false;
    live([&] { good = plan_.ends || join(error); });
    return good;
}

int32_t Actor::outside() const {
    for (uint32_t pool = 0; pool < pools_.size(); ++pool)
        if (interpreter_.pools()[pool].held.capacity() > 0 && !entered_[pool]) return int32_t(pool);
    return -1;
}

template <class Work> void Actor::live(Work work) {
    if (!plan_.ends) return work();
    std::thread([&] {
        allocmark_error error{};
        if (join(error)) {
            work();
        } else {
            shared_.fail(trouble_of(AM_CLOSED, {int32_t(index), 0, 0}, 0));
        }
        leave();
        switches_ += involuntary_switches();
    }).join();
}

bool Actor::run(std::span<const am_insn> tape, Watch how) {
    if (!plan_.ends) return interpreter_.run(tape.data(), how);
    bool good = false;
    live([&] { good = interpreter_.run(tape.data(), how); });
    return good;
}

bool Actor::pin(allocmark_error &error) const {
    if (plan_.cpu < 0) return true;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(plan_.cpu, &set);
    const int code = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (code)
        allocmark_say(&error, "cannot pin an actor to CPU %d: %s", plan_.cpu,
                      std::generic_category().message(code).c_str());
    return code == 0;
}

bool Actor::join(allocmark_error &error) {
    Arena::mine = &arena_;
    Doing::backend = &backend_;
    if (!known_) arena_.note("frame", 0, __builtin_frame_address(0), 0);
    for (uint32_t pool = 0; pool < pools_.size(); ++pool)
        if (held(pool).capacity() > 0 && !enter(pool, error)) return false;
    known_ = true;
    return true;
}

bool Actor::enter(uint32_t pool, allocmark_error &error) {
    const allocmark_thread who = {sizeof who, index, plan_.cpu, plan_.node};
    const Doing doing("thread_enter");
    const int code =
        backend_.thread_enter(pools_[pool].handle, &who, &interpreter_.pools()[pool].local, &error);
    if (code != 0 && !error.message[0])
        allocmark_say(&error, "thread_enter of pool %s failed: error %d", pools_[pool].name.c_str(), code);
    entered_[pool] = code == 0;
    if (!known_) arena_.note("handle", pool, interpreter_.pools()[pool].local, 0);
    return code == 0;
}

void Actor::leave() {
    for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
        if (!entered_[pool]) continue;
        const Doing doing("thread_leave");
        backend_.thread_leave(pools_[pool].handle, interpreter_.pools()[pool].local);
        entered_[pool] = false;
    }
}

void Actor::settle(Watch how) {
    if (!run(prologue_, how)) return;
    for (uint64_t done = 0; done < plan_.settle_iterations; ++done)
        if (!run(body_, how)) return;
}

am_actor_sample Actor::sample(Watch how, uint64_t units, CommonStart &meeting) {
    interpreter_.clear_counters();
    const uint64_t iterations = plan_.iterations * units;
    const am_insn *body = body_.data();
    const bool ends = plan_.ends;
    // A trace must be the same in every run, so there no actor stops early.
    const bool may_stop = !plan_.coupled && how != Watch::kTrace;

    const int64_t waited =
        ends ? -1 : waited_ns(); // a life after the other: their threads wait for each other
    const uint64_t start = meeting.meet();
    // Counted from here: to yield while waiting for the others is a switch too, and disturbs nothing.
    const uint64_t switches = involuntary_switches();
    switches_ = 0;
    while (now_ns() < start) cpu_relax();
    if (how == Watch::kTrace) shared_.trace->turns.join(index);

    uint64_t done = 0;
    for (; done < iterations; ++done) {
        // Not `run` for both: a call more would be seen in short iterations.
        if (!(ends ? run(body_, how) : interpreter_.run(body, how))) [[unlikely]]
            break;
        // relaxed: a hint to stop together; one iteration more or less is counted, not lost.
        if (may_stop && shared_.stop.load(std::memory_order_relaxed)) {
            ++done;
            break;
        }
    }
    const uint64_t end = now_ns();
    if (how == Watch::kTrace) shared_.trace->turns.leave(index);
    if (may_stop) shared_.stop.store(true, std::memory_order_relaxed);

    return {
        .ns = end - start - interpreter_.idle_ns(),
        .idle_ns = interpreter_.idle_ns(),
        .objects = done * plan_.objects,
        .failed_gets = interpreter_.failed_gets(),
        .switches = involuntary_switches() - switches + switches_,
        .waited_ns = waited < 0 ? -1 : waited_ns() - waited,
        .cpu = sched_getcpu(),
    };
}

void Actor::count(uint64_t units) {
    shared_.trace->turns.join(index);
    bool good = run(prologue_, Watch::kTrace);
    const uint64_t iterations = plan_.settle_iterations + plan_.iterations * units;
    // acquire: as where an actor waits.
    for (uint64_t done = 0; good && done < iterations && !shared_.abort.load(std::memory_order_acquire);
         ++done)
        good = run(body_, Watch::kTrace);
    shared_.trace->turns.leave(index);
}

void Actor::drain() {
    live([this] {
        if (!interpreter_.drain()) return;
        for (const std::span<const am_insn> tape : {prologue_, body_})
            for (const am_insn &insn : tape)
                if (insn.op == AM_RECEIVE)
                    interpreter_.empty(insn.target, insn.aux);
                else if (insn.op == AM_MIXED_RECEIVE)
                    interpreter_.empty_mixed(insn.target);
    });
}

double Actor::reference_burst(uint32_t bulk, uint32_t keep, uint32_t touch, uint64_t bursts) {
    PoolView &view = interpreter_.pools()[0];
    if (view.held.capacity() - view.held.size() < keep) return -1;
    return allocmark::reference_burst(backend_, view.pool, view.local, view.held.room(), bulk, keep, touch,
                                      bursts);
}

bool Actor::check_complete(uint32_t pool, uint64_t &stranded) {
    const auto trouble_with_pool = [&](am_trouble_kind kind, uint64_t figure) {
        am_trouble trouble = trouble_of(kind, {-1, pool, 0}, 0);
        trouble.figure = figure;
        shared_.fail(trouble);
        return false;
    };
    allocmark_error error{};
    if (!entered_[pool] && !enter(pool, error)) return trouble_with_pool(AM_CLOSED, 0);

    const Where where{int32_t(index), pool, 0};
    void *const handle = pools_[pool].handle, *const local = interpreter_.pools()[pool].local;
    const uint64_t wanted = pools_[pool].spec.objects;
    Ledger *const ledger = shared_.ledger;
    am_trouble trouble{};
    bool good = true;
    std::vector<void *> objects;
    objects.reserve(wanted);
    while (good && objects.size() < wanted) {
        void *object;
        if (backend_.get_bulk(handle, local, &object, 1) != 0) break;
        good = !ledger || ledger->out(where, &object, 1, trouble);
        objects.push_back(object);
    }
    if (good && ledger) good = ledger->back(where, objects.data(), uint32_t(objects.size()), trouble);
    if (!good) {
        shared_.fail(trouble);
        return false;
    }
    for (void *object : objects) backend_.put_bulk(handle, local, &object, 1);
    // A pool may keep some where only another thread finds them; then it must still know of them all.
    const Doing doing("available");
    const uint64_t known = backend_.available ? backend_.available(handle) : objects.size();
    stranded = wanted - objects.size();
    return stranded == 0 || known >= wanted || trouble_with_pool(AM_LOST, wanted - known);
}

} // namespace allocmark
