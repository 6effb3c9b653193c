// SPDX-License-Identifier: BSD-3-Clause
/** Pools, actor threads and phases: everything around the measured loop. */
#include "engine.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "interpreter.hpp"
#include "reference.hpp"

using namespace allocmark;

namespace {

[[gnu::format(printf, 2, 3)]] void say(allocmark_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}

/** A copy of a backend's table in which members that it does not know are NULL. */
allocmark_backend table_of(const void *address) {
    allocmark_backend table{};
    const auto *given = static_cast<const allocmark_backend *>(address);
    std::memcpy(&table, given, std::min<size_t>(given->size, sizeof table));
    return table;
}

uint64_t involuntary_switches() {
    rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return uint64_t(usage.ru_nivcsw);
}

/** From the last arrival to the common start: time for everyone to see it, and to be waiting for it. */
constexpr uint64_t kLeadNs = 5'000;

/** What the controlling thread asks the actors to do. */
enum class Command { kNone, kPhase, kReference, kLeave, kComplete, kExit };

struct Pool {
    std::string name;
    allocmark_pool_spec spec;
    void *handle = nullptr;
};

struct Actor {
    am_actor plan;
    std::vector<am_insn> prologue, body;
    std::vector<uint32_t> ring_capacity;
    std::unique_ptr<Interpreter> interpreter;
    std::vector<bool> entered; // a pool
    std::thread thread;
    am_actor_sample sample{};
    allocmark_error error{};
    bool ok = true;
};

} // namespace

struct am_engine {
    allocmark_backend backend{};
    bool started = false; // init succeeded: fini is owed
    std::vector<Pool> pools;
    std::vector<std::unique_ptr<Queue>> queues;
    std::vector<std::unique_ptr<Actor>> actors;
    std::unique_ptr<Ledger> ledger;
    Shared shared;

    // The rendezvous between the controlling thread and the actors.
    std::mutex mutex;
    std::condition_variable wake, done;
    uint64_t generation = 0;
    size_t busy = 0;
    Command command = Command::kNone;
    am_phase phase = AM_SETTLE;
    Watch watch = Watch::kNothing;
    uint64_t units = 0;
    uint64_t limit_ns = 0; // of a sample
    int only = -1;         // the actor a command is for; -1: all
    const uint8_t *unbounded = nullptr;
    struct {
        uint32_t bulk, keep, touch;
        uint64_t bursts;
        double ns;
    } by_hand{};
    std::vector<uint64_t> stranded; // a pool: objects that one thread alone could not get

    // The common start: the last actor to arrive sets it, a little ahead.
    alignas(128) std::atomic<uint32_t> arrived{0};
    alignas(128) std::atomic<uint64_t> start_ns{0};

    ~am_engine();
    void serve(uint32_t index);
    bool enter(Actor &actor, uint32_t index, uint32_t pool);
    void leave(Actor &actor);
    void run_phase(Actor &actor);
    void sample(Actor &actor);
    void reference(Actor &actor);
    void check_complete(Actor &actor, uint32_t index);
    void order(Command what, int who = -1, uint64_t limit_ns = 0);
    int run(am_phase what, Watch how, uint64_t n, am_actor_sample *samples, am_trouble *trouble);
    void end_threads();
    void finish();
};

/** The calling actor's thread starts to use a pool. False with actor.error set. */
bool am_engine::enter(Actor &actor, uint32_t index, uint32_t pool) {
    const allocmark_thread who = {sizeof who, index, actor.plan.cpu, actor.plan.node};
    PoolView &view = actor.interpreter->pools()[pool];
    const int code = backend.thread_enter(pools[pool].handle, &who, &view.local, &actor.error);
    if (code != 0) {
        if (!actor.error.message[0])
            say(&actor.error, "thread_enter of pool %s failed: error %d", pools[pool].name.c_str(), code);
        return false;
    }
    actor.entered[pool] = true;
    return true;
}

void am_engine::leave(Actor &actor) {
    for (uint32_t pool = 0; pool < pools.size(); ++pool) {
        if (!actor.entered[pool]) continue;
        backend.thread_leave(pools[pool].handle, actor.interpreter->pools()[pool].local);
        actor.entered[pool] = false;
    }
}

/** An actor's thread: enters its pools, then does what it is told until it is told to exit. */
void am_engine::serve(uint32_t index) {
    Actor &actor = *actors[index];
    if (actor.plan.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(actor.plan.cpu, &set);
        if (const int code = pthread_setaffinity_np(pthread_self(), sizeof set, &set)) {
            say(&actor.error, "cannot pin an actor to CPU %d: %s", actor.plan.cpu,
                std::generic_category().message(code).c_str());
            actor.ok = false;
        }
    }
    for (uint32_t pool = 0; actor.ok && pool < pools.size(); ++pool)
        if (actor.ring_capacity[pool] > 0) actor.ok = enter(actor, index, pool);

    uint64_t seen = 0;
    for (bool running = true; running;) {
        std::unique_lock lock(mutex);
        if (--busy == 0) done.notify_one();
        wake.wait(lock, [&] { return generation != seen; });
        seen = generation;
        const Command what = only < 0 || only == int(index) ? command : Command::kNone;
        lock.unlock();
        switch (what) {
        case Command::kNone:
            break;
        case Command::kPhase:
            run_phase(actor);
            break;
        case Command::kReference:
            reference(actor);
            break;
        case Command::kLeave:
            leave(actor);
            break;
        case Command::kComplete:
            check_complete(actor, index);
            break;
        case Command::kExit:
            leave(actor);
            running = false;
            break;
        }
    }
}

void am_engine::run_phase(Actor &actor) {
    switch (phase) {
    case AM_SETTLE:
        if (!actor.interpreter->run(actor.prologue.data(), watch)) return;
        for (uint64_t pass = 0; pass < actor.plan.settle_passes; ++pass)
            if (!actor.interpreter->run(actor.body.data(), watch)) return;
        break;
    case AM_SAMPLE:
        sample(actor);
        break;
    case AM_DRAIN:
        actor.interpreter->drain();
        break;
    }
}

void am_engine::sample(Actor &actor) {
    Interpreter &interpreter = *actor.interpreter;
    interpreter.clear_counters();
    const uint64_t passes = actor.plan.passes * units;
    const am_insn *body = actor.body.data();
    // In turns nobody runs while another waits for nothing, and every run must do the same.
    const Watch how = watch;
    const bool may_stop = !actor.plan.coupled && how != Watch::kTrace;

    // relaxed: they agree on a time and hand over no data; what a phase needs came with the order.
    if (arrived.fetch_add(1, std::memory_order_relaxed) + 1 == actors.size())
        start_ns.store(now_ns() + kLeadNs, std::memory_order_relaxed);
    Backoff backoff;
    while (start_ns.load(std::memory_order_relaxed) == 0) backoff.pause();
    const uint64_t start = start_ns.load(std::memory_order_relaxed);
    // Counted from here: to yield while waiting for the others is a switch too, and disturbs nothing.
    const uint64_t switches = involuntary_switches();
    while (now_ns() < start) cpu_relax();
    const uint32_t index = uint32_t(interpreter.actor());
    if (how == Watch::kTrace) shared.trace->turns.join(index);

    uint64_t pass = 0;
    for (; pass < passes; ++pass) {
        if (!interpreter.run(body, how)) break;
        // relaxed: a hint to stop together; one pass more or less is counted, not lost.
        if (may_stop && shared.stop.load(std::memory_order_relaxed)) {
            ++pass;
            break;
        }
    }
    const uint64_t end = now_ns();
    if (how == Watch::kTrace) shared.trace->turns.leave(index);
    if (may_stop) shared.stop.store(true, std::memory_order_relaxed);

    actor.sample.ns = end - start - interpreter.idle_ns();
    actor.sample.objects = pass * actor.plan.objects;
    actor.sample.failed_gets = interpreter.failed_gets();
    actor.sample.switches = involuntary_switches() - switches;
    actor.sample.cpu = sched_getcpu();
}

void am_engine::reference(Actor &actor) {
    const PoolView &view = actor.interpreter->pools()[0];
    by_hand.ns = reference_burst(backend, view.pool, view.local, by_hand.bulk, by_hand.keep, by_hand.touch,
                                 by_hand.bursts);
}

/** Takes every object out of every pool, one by one, and puts them back: none may be missing. */
void am_engine::check_complete(Actor &actor, uint32_t index) {
    for (uint32_t pool = 0; pool < pools.size(); ++pool) {
        if (unbounded[pool]) continue;
        const Where where{int32_t(index), pool, 0};
        am_trouble trouble{};
        if (!actor.entered[pool] && !enter(actor, index, pool)) {
            trouble.kind = AM_CLOSED;
            trouble.pool = pool;
            trouble.actor = trouble.other_actor = -1;
            shared.fail(trouble);
            return;
        }
        void *local = actor.interpreter->pools()[pool].local;
        bool good = true;
        std::vector<void *> objects;
        objects.reserve(pools[pool].spec.objects);
        while (good && objects.size() < pools[pool].spec.objects) {
            void *object;
            if (backend.get_bulk(pools[pool].handle, local, &object, 1) != 0) break;
            good = !ledger || ledger->out(where, &object, 1, trouble);
            objects.push_back(object);
        }
        if (good && ledger) good = ledger->back(where, objects.data(), uint32_t(objects.size()), trouble);
        if (!good) {
            shared.fail(trouble);
            return;
        }
        for (void *object : objects) backend.put_bulk(pools[pool].handle, local, &object, 1);
        // A pool may keep some where only another thread finds them; then it must still know of them all.
        const uint64_t wanted = pools[pool].spec.objects;
        const uint64_t known = backend.available ? backend.available(pools[pool].handle) : objects.size();
        stranded[pool] = wanted - objects.size();
        if (objects.size() < wanted && known < wanted) {
            trouble.kind = AM_LOST;
            trouble.pool = pool;
            trouble.actor = trouble.other_actor = -1;
            trouble.figure = wanted - known;
            shared.fail(trouble);
            return;
        }
    }
}

/** Tells the actors what to do and waits until all have done it; after `limit_ns`, those that may stop are
 * told. */
void am_engine::order(Command what, int who, uint64_t limit_ns) {
    std::unique_lock lock(mutex);
    command = what;
    only = who;
    busy = actors.size();
    ++generation;
    wake.notify_all();
    if (what == Command::kExit) return;
    const auto all_done = [&] { return busy == 0; };
    // relaxed: as when an actor says so itself.
    if (limit_ns && !done.wait_for(lock, std::chrono::nanoseconds(limit_ns), all_done))
        shared.stop.store(true, std::memory_order_relaxed);
    done.wait(lock, all_done);
}

int am_engine::run(am_phase what, Watch how, uint64_t n, am_actor_sample *samples, am_trouble *trouble) {
    phase = what;
    watch = how;
    units = n;
    arrived.store(0, std::memory_order_relaxed); // the order() below publishes all of these
    start_ns.store(0, std::memory_order_relaxed);
    shared.stop.store(false, std::memory_order_relaxed);
    order(Command::kPhase, -1, what == AM_SAMPLE ? limit_ns : 0);
    for (size_t a = 0; samples && a < actors.size(); ++a) samples[a] = actors[a]->sample;
    const std::lock_guard lock(shared.trouble_mutex);
    *trouble = shared.trouble;
    return trouble->kind == AM_NONE ? 0 : -1;
}

void am_engine::end_threads() {
    if (actors.empty() || !actors.front()->thread.joinable()) return;
    order(Command::kExit);
    for (const auto &actor : actors)
        if (actor->thread.joinable()) actor->thread.join();
}

/** Undoes `init`, which may have reserved what outlives the process. */
void am_engine::finish() {
    if (started && backend.fini) backend.fini();
    started = false;
}

/** Undoes as much as was done: am_engine_new may have failed anywhere. */
am_engine::~am_engine() {
    end_threads();
    for (const Pool &pool : pools)
        if (pool.handle) backend.pool_destroy(pool.handle);
    finish();
}

extern "C" {

const char *am_table_problem(const void *address) {
    const auto *given = static_cast<const allocmark_backend *>(address);
    static thread_local char problem[160];
    if (given->abi != ALLOCMARK_ABI_VERSION) {
        std::snprintf(problem, sizeof problem,
                      "built against ABI %u of allocmark/backend.h, and this is ABI %u: rebuild the plugin",
                      given->abi, ALLOCMARK_ABI_VERSION);
        return problem;
    }
    if (given->size < offsetof(allocmark_backend, put_bulk) + sizeof given->put_bulk) {
        std::snprintf(problem, sizeof problem, "its table says a size of %u bytes, too small for ABI %u",
                      given->size, ALLOCMARK_ABI_VERSION);
        return problem;
    }
    const allocmark_backend table = table_of(address);
    const struct {
        const char *name;
        bool present;
    } required[] = {
        {"init", table.init != nullptr},
        {"pool_create", table.pool_create != nullptr},
        {"pool_destroy", table.pool_destroy != nullptr},
        {"thread_enter", table.thread_enter != nullptr},
        {"thread_leave", table.thread_leave != nullptr},
        {"get_bulk", table.get_bulk != nullptr},
        {"put_bulk", table.put_bulk != nullptr},
    };
    for (const auto &operation : required) {
        if (operation.present) continue;
        std::snprintf(problem, sizeof problem, "its table lacks the required operation %s", operation.name);
        return problem;
    }
    return nullptr;
}

am_engine *am_engine_new(const am_plan *plan, allocmark_error *error) try {
    error->message[0] = '\0';
    auto engine = std::make_unique<am_engine>();
    engine->backend = table_of(plan->table);
    const allocmark_backend &backend = engine->backend;

    std::vector<uint32_t> cpus;
    for (uint32_t a = 0; a < plan->n_actors; ++a)
        if (plan->actors[a].cpu >= 0) cpus.push_back(uint32_t(plan->actors[a].cpu));
    allocmark_init init{};
    init.size = sizeof init;
    init.n_options = plan->n_options;
    init.options = plan->options;
    init.max_threads = plan->n_actors;
    init.n_cpus = uint32_t(cpus.size());
    init.cpus = cpus.data();
    for (uint32_t p = 0; p < plan->n_pools; ++p)
        init.pool_bytes += plan->pools[p].object_size * plan->pools[p].objects;
    // The reason stands first: these messages reach people as they are.
    const auto give_up = [&](const char *what, int code) -> am_engine * {
        if (!error->message[0])
            say(error, "%s failed: %s", what, std::generic_category().message(-code).c_str());
        return nullptr;
    };
    if (const int code = backend.init(&init, error)) return give_up("init", code);
    engine->started = true;

    engine->pools.resize(plan->n_pools);
    for (uint32_t p = 0; p < plan->n_pools; ++p) {
        const am_pool &wanted = plan->pools[p];
        Pool &pool = engine->pools[p];
        pool.name = wanted.name;
        pool.spec = {};
        pool.spec.size = sizeof pool.spec;
        pool.spec.cache = wanted.cache;
        pool.spec.name = pool.name.c_str();
        pool.spec.object_size = wanted.object_size;
        pool.spec.objects = wanted.objects;
        pool.spec.alignment = wanted.alignment;
        pool.spec.working_set = wanted.working_set;
        pool.spec.node = wanted.node;
        pool.spec.max_threads = plan->n_actors;
        if (const int code = backend.pool_create(&pool.spec, &pool.handle, error)) {
            pool.handle = nullptr;
            return give_up("pool_create", code);
        }
    }

    if (plan->verify) {
        std::vector<Ledger::Pool> books;
        for (uint32_t p = 0; p < plan->n_pools; ++p) {
            std::vector<allocmark_region> regions;
            if (backend.regions) {
                regions.resize(backend.regions(engine->pools[p].handle, nullptr, 0));
                backend.regions(engine->pools[p].handle, regions.data(), uint32_t(regions.size()));
            }
            books.push_back({engine->pools[p].spec.object_size, engine->pools[p].spec.alignment, regions});
        }
        engine->ledger = std::make_unique<Ledger>(std::move(books));
    }
    engine->shared.ledger = engine->ledger.get();
    engine->shared.stall_ns = plan->stall_ns;
    engine->limit_ns = plan->limit_ns;

    std::vector<Queue *> queues;
    for (uint32_t q = 0; q < plan->n_queues; ++q) {
        const am_queue &wanted = plan->queues[q];
        engine->queues.push_back(
            std::make_unique<Queue>(wanted.capacity, wanted.senders == 1, wanted.receivers == 1));
        queues.push_back(engine->queues.back().get());
    }

    const auto tape = [](const am_insn *from) {
        const am_insn *end = from;
        while (end->op != AM_HALT) ++end;
        return std::vector<am_insn>(from, end + 1);
    };
    for (uint32_t a = 0; a < plan->n_actors; ++a) {
        const am_actor &wanted = plan->actors[a];
        auto actor = std::make_unique<Actor>();
        actor->plan = wanted;
        actor->prologue = tape(wanted.prologue);
        actor->body = tape(wanted.body);
        actor->ring_capacity.assign(wanted.ring_capacity, wanted.ring_capacity + plan->n_pools);
        actor->entered.assign(plan->n_pools, false);
        std::vector<PoolView> views;
        for (uint32_t p = 0; p < plan->n_pools; ++p) {
            PoolView view{engine->pools[p].handle, nullptr, {}};
            if (actor->ring_capacity[p] > 0) view.held = Ring(actor->ring_capacity[p]);
            views.push_back(std::move(view));
        }
        actor->interpreter = std::make_unique<Interpreter>(int32_t(a), engine->backend, engine->shared,
                                                           std::move(views), queues, wanted.indices);
        engine->actors.push_back(std::move(actor));
    }
    engine->busy = plan->n_actors;
    for (uint32_t a = 0; a < plan->n_actors; ++a)
        engine->actors[a]->thread = std::thread([e = engine.get(), a] { e->serve(a); });
    {
        std::unique_lock lock(engine->mutex);
        engine->done.wait(lock, [&] { return engine->busy == 0; });
    }
    for (const auto &actor : engine->actors) {
        if (actor->ok) continue;
        *error = actor->error;
        return give_up("thread_enter", -1);
    }
    return engine.release();
} catch (const std::exception &problem) {
    say(error, "the engine could not be set up: %s", problem.what());
    return nullptr;
}

int am_engine_run(am_engine *engine, am_phase phase, uint64_t units, am_actor_sample *samples,
                  am_trouble *trouble) {
    return engine->run(phase, engine->ledger ? Watch::kVerify : Watch::kNothing, units, samples, trouble);
}

int am_engine_time_calls(am_engine *engine, uint64_t units, const uint32_t *every, am_actor_sample *samples,
                         uint64_t *counts, am_trouble *trouble) {
    for (const auto &actor : engine->actors)
        for (const am_call call : {AM_CALL_GET, AM_CALL_PUT})
            actor->interpreter->timer(call).start(every[call], uint32_t(actor->interpreter->actor()) + 1);
    const int result = engine->run(AM_SAMPLE, Watch::kCalls, units, samples, trouble);
    std::fill_n(counts, size_t(AM_CALLS) * AM_BUCKETS, 0);
    for (const auto &actor : engine->actors)
        for (const am_call call : {AM_CALL_GET, AM_CALL_PUT})
            actor->interpreter->timer(call).histogram().add_to(counts + size_t(call) * AM_BUCKETS);
    return result;
}

int am_engine_trace(am_engine *engine, uint64_t units, uint64_t skip, am_event *events, uint64_t capacity,
                    uint64_t *recorded, am_trouble *trouble) {
    Trace trace(uint32_t(engine->actors.size()), skip, events, capacity);
    engine->shared.trace = &trace;
    const int result = engine->run(AM_SAMPLE, Watch::kTrace, units, nullptr, trouble);
    engine->shared.trace = nullptr;
    *recorded = trace.recorded();
    return result;
}

uint64_t am_bucket_top(uint32_t bucket) {
    return Histogram::top(bucket);
}

double am_tick_ns(void) {
    static const double tick_ns = [] {
        const uint64_t begin_ns = now_ns(), begin = ticks();
        uint64_t end_ns;
        do end_ns = now_ns();
        while (end_ns - begin_ns < 5'000'000);
        return double(end_ns - begin_ns) / double(ticks() - begin);
    }();
    return tick_ns;
}

uint64_t am_clock_ticks(void) {
    std::array<uint64_t, 1001> readings;
    for (uint64_t &reading : readings) {
        const uint64_t begin = ticks();
        reading = ticks() - begin;
    }
    std::nth_element(readings.begin(), readings.begin() + readings.size() / 2, readings.end());
    return readings[readings.size() / 2];
}

uint64_t am_clock_step(void) {
    uint64_t step = 0, before = ticks(); // of 0 and n the divisor is n
    for (int reading = 0; reading < 1000; ++reading) {
        const uint64_t now = ticks();
        if (now > before) step = std::gcd(step, now - before);
        before = now;
    }
    return step;
}

double am_engine_reference_burst(am_engine *engine, uint32_t bulk, uint32_t keep, uint32_t touch,
                                 uint64_t bursts) {
    engine->by_hand = {bulk, keep, touch, bursts, -1};
    engine->order(Command::kReference, 0);
    return engine->by_hand.ns;
}

int am_engine_check_complete(am_engine *engine, const uint8_t *unbounded, uint64_t *stranded,
                             am_trouble *trouble) {
    for (size_t a = 1; a < engine->actors.size(); ++a) engine->order(Command::kLeave, int(a));
    engine->unbounded = unbounded;
    engine->stranded.assign(engine->pools.size(), 0);
    engine->order(Command::kComplete, 0);
    std::copy(engine->stranded.begin(), engine->stranded.end(), stranded);
    const std::lock_guard lock(engine->shared.trouble_mutex);
    *trouble = engine->shared.trouble;
    return trouble->kind == AM_NONE ? 0 : -1;
}

size_t am_engine_facts(am_engine *engine, int32_t pool, char *text, size_t capacity) {
    if (!engine->backend.facts) return 0;
    std::string lines;
    engine->backend.facts(
        pool < 0 ? nullptr : engine->pools[size_t(pool)].handle,
        [](void *context, const char *key, const char *value) {
            std::string line = std::string(key) + "=" + value;
            std::replace(line.begin(), line.end(), '\n', ' ');
            *static_cast<std::string *>(context) += line + "\n";
        },
        &lines);
    const size_t written = std::min(lines.size(), capacity);
    std::memcpy(text, lines.data(), written);
    return written;
}

uint32_t am_engine_regions(am_engine *engine, uint32_t pool, allocmark_region *regions, uint32_t capacity) {
    return engine->backend.regions ? engine->backend.regions(engine->pools[pool].handle, regions, capacity)
                                   : 0;
}

uint32_t am_engine_objects(am_engine *engine, uint32_t pool, uint64_t *addresses, uint32_t capacity) {
    uint32_t n = 0;
    for (const auto &actor : engine->actors) {
        const Ring &ring = actor->interpreter->pools()[pool].held;
        for (size_t i = 0; i < ring.capacity() && n < capacity; ++i)
            if (ring.slot(i)) addresses[n++] = reinterpret_cast<uintptr_t>(ring.slot(i));
    }
    return n;
}

void am_engine_free(am_engine *engine) {
    delete engine;
}

void am_engine_abandon(am_engine *engine) {
    engine->finish();
}

} // extern "C"
