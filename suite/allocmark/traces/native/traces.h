/* SPDX-License-Identifier: BSD-3-Clause */
/** The room's native part as Python calls it: drain recordings, join them into traces, check and play these.
 */
#ifndef ALLOCMARK_TRACES_H
#define ALLOCMARK_TRACES_H

#include "allocmark/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct am_drain am_drain;

/** Moves what recorders write into `from`, a folder in shared memory, into files of `to`. */
am_drain *am_drain_new(const char *from, const char *to);
/**
 * Moves what is full; with `last` all that is there. Bytes that were moved, or negative with `error`.
 */
int64_t am_drain_pass(am_drain *drain, int last, allocmark_error *error);
void am_drain_free(am_drain *drain);

/** What a recording became. */
typedef struct am_joined {
    uint64_t events, objects, threads;
    uint64_t peak_live_bytes, live_bytes; /* at most, and at the end */
    uint64_t nanoseconds;
    uint64_t unknown_frees; /* of objects whose malloc was not recorded: left out */
    uint64_t missed_frees;  /* of objects that were handed out again: added */
} am_joined;

/**
 * Writes the trace `to` of the recording `from`. `process` is a JSON object about it. -EINVAL: no recording.
 */
int am_join(const char *from, const char *to, const char *process, am_joined *joined, allocmark_error *error);

/** A bulk call on a pool, by whom and when. */
typedef struct am_pool_call {
    uint64_t ns;
    uint32_t thread, pool, n;
    uint32_t put; /* 1; 0: get */
} am_pool_call;

/**
 * Writes the trace `to` of calls in their order, on pools. Which objects a put gives back is not told: the
 * thread's own, then those of others, the oldest first. `unknown_frees` were of more objects than were out;
 * `missed_frees`: gets of more than the pool has, which failed. Both are left out.
 */
int am_join_pools(const am_pool_call *calls, uint64_t n_calls, const struct am_trace_pool *pools,
                  uint32_t n_pools, const char *to, const char *process, am_joined *joined,
                  allocmark_error *error);

/** Where a trace is after a share of its events: exact, in the order in which the program ran. */
typedef struct am_point {
    uint64_t event, ns;
    uint64_t live_bytes, live_objects;
    uint32_t threads, unused; /* that meet there */
} am_point;

/** A pool, as a trace has it and as one is made for it. */
typedef struct am_trace_pool {
    uint64_t object_size, objects;
    uint64_t working_set; /* most objects that are out at once */
    uint32_t cache;
    uint32_t alignment; /* its logarithm */
    char name[32];      /* NUL-terminated */
} am_trace_pool;

typedef struct am_trace am_trace;

/** The file's header, and where its chunks lie; NULL with `error`, which names the offset. */
am_trace *am_trace_open(const char *path, allocmark_error *error);
void am_trace_close(am_trace *trace);

typedef struct am_trace_facts {
    uint64_t events, slots, largest, bytes;
    uint32_t threads, points;
    /* Known after am_trace_check; the most threads and bytes at once in one order that was possible. */
    uint32_t most_threads;
    uint32_t pools; /* that the program had; 0: it called malloc */
    uint64_t objects, most_live_bytes, nanoseconds;
} am_trace_facts;
void am_trace_tell(const am_trace *trace, am_trace_facts *facts);
/** Writes all points; the last one is the end. */
void am_trace_points(const am_trace *trace, am_point *points);
/** The text of the trace's last chunk, `*bytes` long. */
const char *am_trace_process(const am_trace *trace, uint64_t *bytes);

/**
 * The pools on which the trace can be played: its own, or one for each size class and alignment that it asks
 * for. Each has objects for every order that a replay may take, and for what caches hold back. Writes up to
 * `capacity` of them, AM_MOST_POOLS at most, and returns how many; negative with `error`. The trace was
 * checked.
 */
enum { AM_MOST_POOLS = 4096 };
int64_t am_trace_pools(const am_trace *trace, am_trace_pool *pools, uint32_t capacity,
                       allocmark_error *error);

/** Goes through all events without an allocator; negative with `error` when one makes no sense. */
int am_trace_check(am_trace *trace, allocmark_error *error);

/** An event, for statistics: see am_trace_events. */
typedef struct am_trace_event {
    uint64_t size, ns;
    uint32_t slot, thread;
    uint8_t kind, alignment, waits, unused[5]; /* kind: 1 malloc, 2 calloc, 3 aligned, 4 realloc, 5 free */
} am_trace_event;
/**
 * Events in an order in which they may have happened: up to `capacity` from where the last call stopped. Not
 * after am_trace_check. Negative: damaged.
 */
int64_t am_trace_events(am_trace *trace, am_trace_event *events, uint64_t capacity, allocmark_error *error);

typedef struct am_play_plan {
    const void *table; /* NULL: the floor */
    const allocmark_option *options;
    uint32_t n_options;
    uint32_t gaps;       /* 1: calls are due when they were made; 0: as fast as possible */
    const int32_t *cpus; /* threads go round them */
    uint32_t n_cpus;
    uint32_t max_threads;       /* at once */
    const am_trace_pool *pools; /* of am_trace_pools: for a backend that hands out no malloc */
    uint32_t n_pools;
    uint32_t unused;
    uint64_t stall_ns;
} am_play_plan;

enum { AM_PLAY_BUCKETS = 2240 };

typedef struct am_played {
    uint64_t ns; /* as fast as possible: from the beginning to the end; with gaps: in calls, of all threads */
    uint64_t objects;                    /* got */
    uint64_t start_bytes, drained_bytes; /* resident before, and when everything was freed */
    uint64_t late[2 * AM_PLAY_BUCKETS];  /* with gaps: gets and puts by how late they ended, in ns */
} am_played;

/**
 * Plays the trace once on a backend, which is begun for it and not ended. `resident` and `live` have an
 * entry per point. Negative with `error` when it failed; the process must then end. -ENOTSUP: refused.
 */
int am_trace_play(am_trace *trace, const am_play_plan *plan, am_played *played, uint64_t *resident,
                  uint64_t *live, allocmark_error *error);

/** The top of a bucket of `am_played.late`, in ns. */
uint64_t am_play_bucket_top(uint32_t bucket);

#ifdef __cplusplus
}
#endif

#endif
