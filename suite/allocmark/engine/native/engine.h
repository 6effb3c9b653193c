/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The engine's interface to Python. A process has one engine: one backend variant, its pools, and one native
 * thread per actor; beside it there may be a second one, over the replay of what the first one's backend
 * handed out. Calls come from one thread, one at a time. Functions that can fail return 0 or -1 and write one
 * line into `error`.
 */
#ifndef ALLOCMARK_ENGINE_H
#define ALLOCMARK_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "allocmark/backend.h"
#include "tape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct am_pool {
    const char *name;
    uint64_t object_size, objects, alignment, working_set;
    uint32_t cache;
    int32_t node;
} am_pool;

typedef struct am_queue {
    uint32_t capacity; /* rounded up to a power of two */
    uint32_t senders, receivers;
} am_queue;

typedef struct am_actor {
    const am_insn *prologue;       /* run once, untimed: brings the live set to where the body starts */
    const am_insn *body;           /* one iteration; leaves the live set as it found it */
    const uint32_t *indices;       /* of AM_PUT_RANDOM */
    const uint32_t *ring_capacity; /* by pool; 0: this actor never holds its objects */
    uint64_t iterations;           /* iterations of the body in one unit of a sample */
    uint64_t settle_iterations;    /* iterations that follow the prologue, untimed */
    uint64_t objects;              /* objects got in one iteration */
    uint32_t n_indices;
    uint32_t coupled;        /* waits for others through queues: never stops early */
    int32_t cpu, node;       /* -1: left free */
    uint32_t mixed_capacity; /* of the mixed ring; 0: it has a ring for each pool */
    uint32_t ends; /* each tape that is run is a thread's life: it ends, another takes over what it held */
} am_actor;

typedef struct am_plan {
    const void *table; /* allocmark_backend */
    const allocmark_option *options;
    const am_pool *pools;
    const am_queue *queues;
    const am_actor *actors;
    uint32_t n_options, n_pools, n_queues, n_actors;
    uint32_t verify;   /* stamp and check every object */
    uint64_t stall_ns; /* give up when a get or a queue made no progress for this long */
    uint64_t limit_ns; /* a sample of actors that are not coupled ends early when it lasts longer; 0: never */
    uint64_t layout_seed; /* draws where the engine's memory begins and which pool is made first; 0: fixed */
    uint32_t lasting; /* the backend outlives the engine, for the next one with the same table and options */
    int32_t *refused; /* null, or where the number of the pool goes that the backend refused; -1: none */
} am_plan;

typedef enum am_phase { AM_SETTLE, AM_SAMPLE, AM_DRAIN } am_phase;

/** What is timed one by one. */
typedef enum am_call { AM_CALL_GET, AM_CALL_PUT, AM_CALLS } am_call;

enum { AM_BUCKETS = 2240 }; /* of a histogram: see am_bucket_top */

/** One object that changed hands. */
typedef struct am_event {
    uint64_t object;
    uint16_t actor, pool;
    uint32_t put; /* 0: got */
} am_event;

/** What an actor did with a pool, in gets or in puts. */
typedef struct am_tally {
    uint64_t calls, objects;
    uint64_t trips; /* that its calls made to what threads share */
    uint64_t moved; /* objects that these took out of there, or put in */
} am_tally;

/** How many objects of a pool a run took. */
typedef struct am_need {
    uint64_t most_out;    /* at once */
    uint64_t most_needed; /* out, or in the caches of others than the actor that got, at once */
} am_need;

/** What am_engine_count finds. The caller gives room. */
typedef struct am_count {
    am_event *events;
    uint64_t capacity, recorded;        /* of events */
    am_tally *tallies;                  /* by actor, pool and am_call, all zero */
    am_need *needs;                     /* by pool, all zero */
    uint32_t knows_trips, knows_cached; /* whether the backend tells; without, they are 0 in tallies */
    int32_t failed; /* the pool in which a get found too little: there the run ended; -1 */
} am_count;

typedef struct am_actor_sample {
    uint64_t ns;          /* from the common start to this actor's end, idle time taken off */
    uint64_t idle_ns;     /* the time it was told to be idle */
    uint64_t objects;     /* objects got */
    uint64_t failed_gets; /* gets that found too little and were tried again */
    uint64_t switches;    /* times the kernel took the CPU away */
    int64_t waited_ns;    /* that it could have run, and had no CPU; -1: not known */
    int32_t cpu;          /* where it ran at the end */
} am_actor_sample;

typedef enum am_trouble_kind {
    AM_NONE,
    AM_EXHAUSTED,   /* a get found too little for stall_ns */
    AM_BLOCKED,     /* a send or receive made no progress for stall_ns */
    AM_TWICE,       /* handed out while already out */
    AM_OVERLAP,     /* shares bytes with another object that is out */
    AM_MISALIGNED,  /* not aligned as asked */
    AM_OUTSIDE,     /* not inside the regions that the backend reports */
    AM_OVERWRITTEN, /* its stamp changed while it was held */
    AM_LOST,        /* fewer objects in the pool than at the start */
    AM_NULL,        /* a null pointer was handed out */
    AM_CLOSED,      /* thread_enter failed when the objects were to be counted */
    AM_FOREIGN,     /* an actor holds what was never handed out */
    AM_CODE,        /* get_bulk returned a positive code */
    AM_BEYOND,      /* get_bulk wrote outside the objects that it was to fill in */
    AM_LEFT_OUT,    /* get_bulk did not fill in all of them */
    AM_CHANGED,     /* put_bulk wrote to the array it was given */
    AM_NOT_ZEROED,  /* a get that was to give zeros gave others */
    AM_NOT_KEPT,    /* content was lost when an object was resized */
    AM_TAGGED       /* an address has no room for the number of its pool */
} am_trouble_kind;

/** The first thing that went wrong. Figures that do not apply are 0, actors -1. */
typedef struct am_trouble {
    uint32_t kind, pool, step, other_step;
    int32_t actor, other_actor;
    uint64_t object, other_object;
    uint64_t figure; /* byte of the object, objects missing or asked for, a code, an index (both signed) */
} am_trouble;

/** What is touched while an engine measures, and where it lies. */
typedef struct am_place {
    const char *what; /* see am_engine_layout */
    int32_t actor;    /* whose; -1: shared by all */
    uint32_t index;   /* of a pool, a queue, a kind of call */
    uint64_t address;
    uint64_t bytes; /* 0: not known */
} am_place;

typedef struct am_engine am_engine;

/** NULL when the table can be used, else what is wrong with it. `table` must be readable. */
const char *am_table_problem(const void *table);

/** Starts the backend, creates the pools, starts the threads. NULL on failure. The plan's arrays outlive the
 * engine. */
am_engine *am_engine_new(const am_plan *plan, allocmark_error *error);

/**
 * Runs one phase on all actors. AM_SETTLE first; then any number of AM_SAMPLE with `units` (each actor runs
 * `units` times its `iterations`); AM_DRAIN puts back what is held. `samples` has an entry per actor.
 * Returns -1 with `*trouble` filled when the run cannot go on; then only am_engine_abandon is legal.
 */
int am_engine_run(am_engine *engine, am_phase phase, uint64_t units, am_actor_sample *samples,
                  am_trouble *trouble);

/**
 * Puts back what is held and starts the actors anew, with threads and memory of which `layout_seed` draws
 * where it begins. The pools stay where they are. AM_SETTLE follows. Returns as am_engine_run, or -EAGAIN
 * with `error` when the actors could not be started: then nothing is held, and the engine can only be freed.
 */
int am_engine_move(am_engine *engine, uint64_t layout_seed, am_trouble *trouble, allocmark_error *error);

/**
 * One AM_SAMPLE in which one get in every[AM_CALL_GET] is timed, and one put in every[AM_CALL_PUT], at random
 * distances and with retries; the same draws each time. `counts` has AM_CALLS times AM_BUCKETS entries: all
 * actors' calls by their ticks. For engines that do not verify. Returns as am_engine_run.
 */
int am_engine_time_calls(am_engine *engine, uint64_t units, const uint32_t *every, am_actor_sample *samples,
                         uint64_t *counts, am_trouble *trouble);

/**
 * One AM_SAMPLE in which the actors take turns, a call each, so that it is the same in every run. The objects
 * that change hands after the first `skip` gets of one go to `events`, as many as there is room for;
 * `*recorded` says how many. For engines that do not verify. Returns as am_engine_run.
 */
int am_engine_trace(am_engine *engine, uint64_t units, uint64_t skip, am_event *events, uint64_t capacity,
                    uint64_t *recorded, am_trouble *trouble);

/**
 * A whole run, of a new engine: the actors take turns from the prologue on, a call each. Events and tallies
 * are of what follows the first `skip` gets of one; see am_engine_trace. The bytes of objects are not
 * touched: what is counted does not depend on them. Only AM_DRAIN may follow, also when a get failed. Not for
 * engines that verify. Returns as am_engine_run.
 */
int am_engine_count(am_engine *engine, uint64_t units, uint64_t skip, am_count *count, am_trouble *trouble);

/**
 * One AM_SAMPLE in which each actor writes down the objects that it gets, the first `capacity` of them.
 * `events` has room for `capacity` per actor; they go there actor by actor, `*recorded` in all. For engines
 * that do not verify. Returns as am_engine_run.
 */
int am_engine_record(am_engine *engine, uint64_t units, am_event *events, uint64_t capacity,
                     uint64_t *recorded, am_trouble *trouble);

/** The largest number of ticks in a bucket; none in it is more than 1/64 below. */
uint64_t am_bucket_top(uint32_t bucket);

/** Nanoseconds per tick, measured once per process, in 5 ms. */
double am_tick_ns(void);

/** What timing a call adds to its figure, in ticks: the median of two readings with nothing between. */
uint64_t am_clock_ticks(void);

/** The smallest step of the time-stamp counter, in ticks: some processors count in coarser ones than one. */
uint64_t am_clock_step(void);

/**
 * The workload burst as a person would write it, on the first actor's thread and pool: ns per object, to be
 * compared with a sample. `keep` is a multiple of `bulk`. Negative when the pool has too little.
 */
double am_engine_reference_burst(am_engine *engine, uint32_t bulk, uint32_t keep, uint32_t touch,
                                 uint64_t bursts);

/**
 * After AM_DRAIN: takes every object out of every pool and puts it back. AM_LOST when a pool gives out fewer
 * than it was made with and does not count the others as available either. `stranded` has an entry per pool:
 * how many it counts but did not give to one thread alone. Pools marked in `unbounded` are not tried.
 * Afterwards only the first actor's thread is still inside its pools.
 */
int am_engine_check_complete(am_engine *engine, const uint8_t *unbounded, uint64_t *stranded,
                             am_trouble *trouble);

/** Writes "key=value\n" lines about a pool, or about the process for pool -1; returns the bytes written;
 *  more than `capacity` when the backend gave NULL for a text. */
size_t am_engine_facts(am_engine *engine, int32_t pool, char *text, size_t capacity);

/** As allocmark_backend.regions; 0 when the backend does not tell. */
uint32_t am_engine_regions(am_engine *engine, uint32_t pool, allocmark_region *regions, uint32_t capacity);

/**
 * Where the hot memory lies: writes up to `capacity` places and returns how many there are. Those of actors
 * and those that they share are named by the engine's sources. Of the backend there are its "table", its
 * functions "get_bulk" and "put_bulk", its "pool"s in the order in which they were created, and each actor's
 * "handle"s; these are what the backend gave out, which may be no addresses.
 */
uint32_t am_engine_layout(am_engine *engine, am_place *places, uint32_t capacity);

/** Addresses of objects that were held lately; returns how many were written. */
uint32_t am_engine_objects(am_engine *engine, uint32_t pool, uint64_t *addresses, uint32_t capacity);

/** Ends threads, pools and backend. Only after AM_DRAIN. */
void am_engine_free(am_engine *engine);

/** Undoes only what would outlive the process (the backend's fini). For engines that cannot be drained. */
void am_engine_abandon(am_engine *engine);

/** Ends the backend of engines whose plans are lasting, when the last of them is gone. */
void am_backend_end(void);

/** The floor: an allocmark_backend that hands out preallocated objects in turn. */
const void *am_null_table(void);

/** What memory lies on. */
typedef enum am_pages { AM_BASE, AM_THP, AM_HUGETLB } am_pages;

typedef struct am_replay am_replay;

/**
 * Lays the objects in `events` out again in memory of its own, the mirror: see Mirror. `names`,
 * `object_sizes` and `pages` have an entry per pool. NULL on failure. Else `error` says why the mirror lies
 * on other pages than those asked for, or is empty.
 */
am_replay *am_replay_new(const am_event *events, uint64_t n, const char *const *names,
                         const uint64_t *object_sizes, const am_pages *pages, uint32_t n_pools,
                         uint32_t n_actors, allocmark_error *error);

/** Distinct objects in the mirror. */
uint64_t am_replay_objects(const am_replay *replay);

/**
 * An allocmark_backend that hands out the objects in the mirror: to each actor, from each pool, those in its
 * events, in their order, over and over. Its regions are the whole mirror. For one engine with the same pools
 * and actors; `replay` outlives it.
 */
const void *am_replay_table(am_replay *replay);

/** Gives the mirror back. */
void am_replay_free(am_replay *replay);

/**
 * A table with the functions of the one at `original`, get and put behind one more call each, which takes
 * longer where something is planted. Its init needs the option twin.table, the address of `original`, and
 * knows twin.planted: dependent multiplications in one call of 64. All others go to the original. Lives as
 * long as the process, which can start one twin.
 */
const void *am_twin_table(const void *original);

/**
 * A backend for any library with the malloc interface, which its init loads: the options are malloc.library,
 * malloc.prefix and malloc.preloaded.
 */
const void *am_malloc_table(void);

/** A function that a backend calls, the file that it lies in, and the one that it should: "" where any will
 * do. */
typedef struct am_called {
    const char *name, *file, *expected;
} am_called;

/**
 * What the backend with this table calls: writes up to `capacity` and returns how many there are. A function
 * should lie in `library` (NULL: none was declared) or in a library that the backend is linked with, if one
 * of these has a function of its name. What has not been called so far may be missing.
 */
uint32_t am_calls(const void *table, const char *library, am_called *calls, uint32_t capacity);

/** The file of a library in this process, as am_calls gives it; NULL: it is not loaded. */
const char *am_loaded_file(const char *library);

/** The file that the functions of a backend's table lie in, as the loader names it; "" when it is in none.
 * Valid while that is loaded. */
const char *am_table_file(const void *table);

/**
 * Round trip of one cache line between two CPUs, in ns: the median of `rounds` batches. Takes well under a
 * millisecond for 8 rounds on a near pair. Negative: -errno (a CPU that may not be used).
 */
double am_core_distance(int32_t cpu_a, int32_t cpu_b, uint32_t rounds);

/**
 * How fast a CPU is now, in ns: the median time of copying a kilobyte within its L1 cache. That takes twice
 * as long, or nearly, while something else runs on the core's other hardware thread. Takes 0.1 ms. Negative:
 * -errno.
 */
double am_core_pace(int32_t cpu);

/** How a guarded process ended. */
typedef struct {
    int32_t status; /* as waitpid gives it */
    int32_t signal; /* that its guard was sent, and not by its parent; 0: none */
    int32_t sender; /* of the signal; 0: the process itself */
} am_ending;

/**
 * Makes this process, which has one thread, the guard of its child `worker`: it waits until that has ended,
 * kills whatever that has started, also what has left its process group, writes an am_ending to `report` and
 * ends. Without a report (-1) it ends as the worker did. The process `parent` ends the worker by sending
 * SIGTERM, or by its own end: then the worker has 2 s to clean up. Does not return.
 */
void am_guard(int64_t worker, int64_t parent, int32_t report);

/** Has the kernel kill this process when its parent `guard` ends. */
void am_end_with(int64_t guard);

/**
 * From now on a crash of this process first writes one line to `descriptor`: {"crashed_in": "get_bulk"}, the
 * function of the backend that the thread was in, where that is known.
 */
void am_report_crashes(int32_t descriptor);

#ifdef __cplusplus
}
#endif

#endif
