// SPDX-License-Identifier: BSD-3-Clause
/** A whole engine: sets up backend, pools and actors from a plan, and tells the actors what to do. */
#include "engine.h"

#include <allocmark/say.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "backend_table.hpp"
#include "cast.hpp"
#include "doing.hpp"

using namespace allocmark;

namespace {

/** Thrown where an engine cannot be set up, once the reason is written. */
struct NotSetUp {};

/** The backend that outlives its engines; without functions when there is none. */
allocmark_backend lasting{};

/** Ends the set-up. Where the backend gave no reason, the one that the code means is written. */
[[noreturn]] void give_up(allocmark_error *error, const char *what, int code) {
    if (!error->message[0])
        allocmark_say(error, "%s failed: %s", what, std::generic_category().message(-code).c_str());
    throw NotSetUp();
}

/** Of draws, for the order of the pools; a cast has others. */
constexpr uint64_t kPools = (uint64_t(1) << 32) + 1;

/** Whether it was set up; else `error` says why not. */
template <class Work> bool set_up(allocmark_error *error, Work work) {
    error->message[0] = '\0';
    try {
        work();
        return true;
    } catch (const NotSetUp &) {
    } catch (const std::exception &problem) {
        allocmark_say(error, "the engine could not be set up: %s", problem.what());
    }
    return false;
}

} // namespace

struct am_engine {
    const am_plan plan; // its arrays outlive the engine
    allocmark_backend backend{};
    bool started = false; // init succeeded: fini is owed
    std::vector<Pool> pools;
    std::vector<uint32_t> created;  // pools, in the order in which they are created
    std::unique_ptr<Ledger> ledger; // only while nothing is measured
    std::unique_ptr<Cast> cast;

    explicit am_engine(const am_plan &given) : plan(given) {}
    ~am_engine();

    void set_up(allocmark_error *error);
    void refused(int32_t pool) const {
        if (plan.refused) *plan.refused = pool;
    }
    void start_backend(allocmark_error *error);
    void create_pools(allocmark_error *error);
    void open_ledger();
    void start_actors(uint64_t layout_seed, allocmark_error *error);
    int outcome(am_trouble *trouble) { return cast->outcome(trouble); }
    void finish();
};

void am_engine::start_backend(allocmark_error *error) {
    backend = table_of(plan.table);
    if (plan.lasting && lasting.init) return;
    std::vector<uint32_t> cpus;
    for (uint32_t a = 0; a < plan.n_actors; ++a)
        if (plan.actors[a].cpu >= 0) cpus.push_back(uint32_t(plan.actors[a].cpu));
    allocmark_init init{};
    init.size = sizeof init;
    init.n_options = plan.n_options;
    init.options = plan.options;
    init.max_threads = plan.n_actors;
    init.n_cpus = uint32_t(cpus.size());
    init.cpus = cpus.data();
    for (uint32_t p = 0; p < plan.n_pools; ++p)
        init.pool_bytes += plan.pools[p].object_size * plan.pools[p].objects;
    const Doing doing("init");
    if (const int code = backend.init(&init, error)) give_up(error, "init", code);
    if (plan.lasting)
        lasting = backend;
    else
        started = true;
}

void am_engine::create_pools(allocmark_error *error) {
    pools.resize(plan.n_pools); // a specification points to its pool's name
    for (const uint32_t p : Draws(plan.layout_seed, kPools).order(plan.n_pools)) {
        const am_pool &wanted = plan.pools[p];
        Pool &pool = pools[p];
        pool.name = wanted.name;
        pool.spec = {
            .size = sizeof pool.spec,
            .cache = wanted.cache,
            .name = pool.name.c_str(),
            .object_size = wanted.object_size,
            .objects = wanted.objects,
            .alignment = wanted.alignment,
            .working_set = wanted.working_set,
            .node = wanted.node,
            .max_threads = plan.n_actors,
        };
        const Doing doing("pool_create");
        if (const int code = backend.pool_create(&pool.spec, &pool.handle, error)) {
            refused(int32_t(p));
            give_up(error, "pool_create", code);
        }
        created.push_back(p);
    }
}

void am_engine::open_ledger() {
    std::vector<Ledger::Book> books;
    for (const Pool &pool : pools) {
        std::vector<allocmark_region> regions;
        if (backend.regions) {
            const Doing doing("regions");
            regions.resize(backend.regions(pool.handle, nullptr, 0));
            backend.regions(pool.handle, regions.data(), uint32_t(regions.size()));
        }
        books.push_back({pool.spec.object_size, pool.spec.alignment, regions});
    }
    ledger = std::make_unique<Ledger>(std::move(books));
}

/** Instead of those that there are. */
void am_engine::start_actors(uint64_t layout_seed, allocmark_error *error) {
    cast.reset();
    cast = std::make_unique<Cast>(plan, layout_seed, backend, pools, ledger.get());
    if (cast->begin(*error)) return;
    for (const Actor *actor : cast->actors())
        if (const int32_t pool = actor->outside(); pool >= 0) {
            refused(pool);
            break;
        }
    throw NotSetUp();
}

/** Throws NotSetUp with the reason in `error`, which people read as it is. */
void am_engine::set_up(allocmark_error *error) {
    start_backend(error);
    create_pools(error);
    if (plan.verify) open_ledger();
    start_actors(plan.layout_seed, error);
}

/** Undoes `init`, which may have reserved what outlives the process. */
void am_engine::finish() {
    const Doing doing("fini");
    if (started && backend.fini) backend.fini();
    started = false;
}

/** Undoes as much as was done: the set-up may have failed anywhere. */
am_engine::~am_engine() {
    cast.reset();
    for (; !created.empty(); created.pop_back()) {
        const Doing doing("pool_destroy");
        backend.pool_destroy(pools[created.back()].handle);
    }
    finish();
}

extern "C" {

const char *am_table_problem(const void *address) {
    const auto *given = static_cast<const allocmark_backend *>(address);
    static thread_local allocmark_error problem;
    if (given->abi != ALLOCMARK_ABI_VERSION) {
        allocmark_say(&problem,
                      "built against ABI %u of allocmark/backend.h, and this is ABI %u: rebuild the plugin",
                      given->abi, ALLOCMARK_ABI_VERSION);
        return problem.message;
    }
    if (given->size < offsetof(allocmark_backend, put_bulk) + sizeof given->put_bulk) {
        allocmark_say(&problem, "its table says a size of %u bytes, too small for ABI %u", given->size,
                      ALLOCMARK_ABI_VERSION);
        return problem.message;
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
        allocmark_say(&problem, "its table lacks the required operation %s", operation.name);
        return problem.message;
    }
    return nullptr;
}

am_engine *am_engine_new(const am_plan *plan, allocmark_error *error) {
    std::unique_ptr<am_engine> engine;
    const bool done = set_up(error, [&] {
        engine = std::make_unique<am_engine>(*plan);
        engine->set_up(error);
    });
    return done ? engine.release() : nullptr;
}

int am_engine_move(am_engine *engine, uint64_t layout_seed, am_trouble *trouble, allocmark_error *error) {
    error->message[0] = '\0';
    engine->cast->all([](Actor &actor) { actor.drain(); });
    if (engine->outcome(trouble) != 0) return -1;
    return set_up(error, [&] { engine->start_actors(layout_seed, error); }) ? 0 : -EAGAIN;
}

int am_engine_run(am_engine *engine, am_phase phase, uint64_t units, am_actor_sample *samples,
                  am_trouble *trouble) {
    const Watch how = engine->ledger ? Watch::kVerify : Watch::kNothing;
    switch (phase) {
    case AM_SETTLE:
        engine->cast->all([&](Actor &actor) { actor.settle(how); });
        break;
    case AM_SAMPLE:
        engine->cast->sample(how, units, samples);
        break;
    case AM_DRAIN:
        engine->cast->all([](Actor &actor) { actor.drain(); });
        break;
    }
    return engine->outcome(trouble);
}

int am_engine_time_calls(am_engine *engine, uint64_t units, const uint32_t *every, am_actor_sample *samples,
                         uint64_t *counts, am_trouble *trouble) {
    for (const auto &actor : engine->cast->actors())
        for (const am_call call : {AM_CALL_GET, AM_CALL_PUT})
            actor->timer(call).start(every[call], actor->index + 1);
    engine->cast->sample(Watch::kCalls, units, samples);
    std::fill_n(counts, size_t(AM_CALLS) * AM_BUCKETS, 0);
    for (const auto &actor : engine->cast->actors())
        for (const am_call call : {AM_CALL_GET, AM_CALL_PUT})
            actor->timer(call).histogram().add_to(counts + size_t(call) * AM_BUCKETS);
    return engine->outcome(trouble);
}

int am_engine_trace(am_engine *engine, uint64_t units, uint64_t skip, am_event *events, uint64_t capacity,
                    uint64_t *recorded, am_trouble *trouble) {
    Trace trace(engine->plan, skip, events, capacity);
    engine->cast->trace(&trace);
    engine->cast->sample(Watch::kTrace, units, nullptr);
    engine->cast->trace(nullptr);
    *recorded = trace.recorded();
    return engine->outcome(trouble);
}

int am_engine_count(am_engine *engine, uint64_t units, uint64_t skip, am_count *count, am_trouble *trouble) {
    const auto actors = uint32_t(engine->cast->actors().size());
    std::vector<void *> pools;
    for (const Pool &pool : engine->pools) pools.push_back(pool.handle);
    Account account(engine->backend, pools, actors, *count);
    Trace trace(engine->plan, skip, count->events, count->capacity, &account);
    engine->cast->trace(&trace);
    engine->cast->all([&](Actor &actor) { actor.count(units); });
    engine->cast->trace(nullptr);
    count->recorded = trace.recorded();
    return engine->outcome(trouble);
}

int am_engine_record(am_engine *engine, uint64_t units, am_event *events, uint64_t capacity,
                     uint64_t *recorded, am_trouble *trouble) {
    for (const auto &actor : engine->cast->actors())
        actor->recorder().start(events + actor->index * capacity, capacity);
    engine->cast->sample(Watch::kRecord, units, nullptr);
    *recorded = 0;
    for (const auto &actor : engine->cast->actors()) { // closes the gaps
        const am_event *own = events + actor->index * capacity;
        const auto n = size_t(actor->recorder().end() - own);
        std::memmove(events + *recorded, own, n * sizeof *own);
        *recorded += n;
    }
    return engine->outcome(trouble);
}

double am_engine_reference_burst(am_engine *engine, uint32_t bulk, uint32_t keep, uint32_t touch,
                                 uint64_t bursts) {
    double ns = -1;
    engine->cast->first([&](Actor &actor) { ns = actor.reference_burst(bulk, keep, touch, bursts); });
    return ns;
}

int am_engine_check_complete(am_engine *engine, const uint8_t *unbounded, uint64_t *stranded,
                             am_trouble *trouble) {
    engine->cast->all([](Actor &actor) {
        if (actor.index != 0) actor.leave();
    });
    engine->cast->first([&](Actor &actor) {
        bool complete = true;
        for (uint32_t pool = 0; pool < engine->pools.size(); ++pool) {
            stranded[pool] = 0;
            if (complete && !unbounded[pool]) complete = actor.check_complete(pool, stranded[pool]);
        }
    });
    return engine->outcome(trouble);
}

size_t am_engine_facts(am_engine *engine, int32_t pool, char *text, size_t capacity) {
    if (!engine->backend.facts) return 0;
    struct Told {
        std::string lines;
        bool null = false;
    } told;
    const Doing doing("facts");
    engine->backend.facts(
        pool < 0 ? nullptr : engine->pools[size_t(pool)].handle,
        [](void *context, const char *key, const char *value) {
            auto &told = *static_cast<Told *>(context);
            told.null |= !key || !value;
            if (told.null) return; // an exception must not pass through the backend
            std::string line = std::string(key) + "=" + value;
            std::replace(line.begin(), line.end(), '\n', ' ');
            told.lines += line + "\n";
        },
        &told);
    if (told.null) return capacity + 1;
    const size_t written = std::min(told.lines.size(), capacity);
    std::memcpy(text, told.lines.data(), written);
    return written;
}

uint32_t am_engine_regions(am_engine *engine, uint32_t pool, allocmark_region *regions, uint32_t capacity) {
    const Doing doing("regions");
    return engine->backend.regions ? engine->backend.regions(engine->pools[pool].handle, regions, capacity)
                                   : 0;
}

uint32_t am_engine_objects(am_engine *engine, uint32_t pool, uint64_t *addresses, uint32_t capacity) {
    uint32_t n = 0;
    const auto mixed = uint32_t(engine->pools.size());
    for (const auto &actor : engine->cast->actors())
        for (const uint32_t number : {pool, mixed}) {
            const Ring &ring = actor->held(number);
            for (size_t i = 0; i < ring.capacity() && n < capacity; ++i)
                if (ring.slot(i) && (number == pool || tag_of(ring.slot(i)) == pool))
                    addresses[n++] = reinterpret_cast<uintptr_t>(untagged(ring.slot(i)));
        }
    return n;
}

uint32_t am_engine_layout(am_engine *engine, am_place *places, uint32_t capacity) {
    uint32_t n = 0;
    const auto add = [&](int32_t actor, const Piece &piece) {
        if (n < capacity) places[n] = {piece.what, actor, piece.index, piece.address, piece.bytes};
        ++n;
    };
    const auto address = [](auto pointer) { return reinterpret_cast<uintptr_t>(pointer); };
    const allocmark_backend &backend = engine->backend;
    add(-1, {"table", 0, address(engine->plan.table), backend.size});
    add(-1, {"get_bulk", 0, address(backend.get_bulk), 0});
    add(-1, {"put_bulk", 0, address(backend.put_bulk), 0});
    for (const uint32_t pool : engine->created)
        add(-1, {"pool", pool, address(engine->pools[pool].handle), 0});
    for (const Piece &piece : engine->cast->shared_pieces()) add(-1, piece);
    for (const Actor *actor : engine->cast->actors())
        for (const Piece &piece : engine->cast->pieces(*actor)) add(int32_t(actor->index), piece);
    return n;
}

void am_engine_free(am_engine *engine) {
    delete engine;
}

void am_engine_abandon(am_engine *engine) {
    engine->finish();
}

void am_backend_end(void) {
    if (lasting.fini) lasting.fini();
    lasting = {};
}

} // extern "C"
