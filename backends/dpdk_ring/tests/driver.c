/* SPDX-License-Identifier: BSD-3-Clause */
/** Drives a backend table with native, pinned threads and keeps a ledger inside the objects themselves. */
#define _GNU_SOURCE
#include <allocmark/backend.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 16, MAX_BULK = 1024, WIRE = 4096 };

/** The first word of an object: 0 while it is in the pool, else who holds it. */
typedef _Atomic uint64_t owner_word;

struct job {
    const allocmark_backend *table;
    void *pool;
    uint32_t slot, rounds, bulk, hold;
    int32_t cpu;
    char *message;
    pthread_barrier_t *barrier;
    _Atomic(void *) *wire; /* cross-thread free: one slot an object, NULL when empty */
    int failed;
};

static int fail(struct job *job, const char *what) {
    snprintf(job->message, sizeof((allocmark_error *)0)->message, "thread %u: %s", job->slot, what);
    return job->failed = 1;
}

static void pin(int32_t cpu) {
    cpu_set_t set;
    if (cpu < 0) return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static int enter(struct job *job, void **local) {
    const allocmark_thread thread = {sizeof thread, job->slot, job->cpu, -1};
    allocmark_error error = {""};
    pin(job->cpu);
    return job->table->thread_enter(job->pool, &thread, local, &error) ? fail(job, error.message) : 0;
}

/** The same with others, all of which go on together. */
static int enter_together(struct job *job, void **local) {
    const int failed = enter(job, local);
    pthread_barrier_wait(job->barrier);
    return failed;
}

/** Take objects over from the pool, or hand them back. Whoever held them before must be as expected. */
static int own(struct job *job, void **objects, uint32_t n, uint64_t from, uint64_t to) {
    for (uint32_t i = 0; i < n; i++)
        if (atomic_exchange((owner_word *)objects[i], to) != from) return fail(job, "object held by another");
    return 0;
}

/** Gets and puts with `hold` bulks in hand, first in first out. */
static void *churn(void *argument) {
    struct job *job = argument;
    const uint64_t me = job->slot + 1;
    void *local, **held = calloc((size_t)job->hold * job->bulk, sizeof *held);
    if (enter_together(job, &local)) return NULL;
    for (uint32_t round = 0; round < job->rounds && !job->failed; round++) {
        void **bulk = held + (size_t)(round % job->hold) * job->bulk;
        if (bulk[0] != NULL) {
            if (own(job, bulk, job->bulk, me, 0)) break;
            job->table->put_bulk(job->pool, local, bulk, job->bulk);
        }
        bulk[0] = NULL;
        if (job->table->get_bulk(job->pool, local, bulk, job->bulk) != 0) {
            bulk[0] = NULL; /* others may hold it all in their caches */
            sched_yield();
        } else if (own(job, bulk, job->bulk, 0, me)) {
            break;
        }
    }
    for (uint32_t i = 0; i < job->hold && !job->failed; i++) {
        void **bulk = held + (size_t)i * job->bulk;
        if (bulk[0] == NULL || own(job, bulk, job->bulk, me, 0)) continue;
        job->table->put_bulk(job->pool, local, bulk, job->bulk);
    }
    job->table->thread_leave(job->pool, local);
    free(held);
    return NULL;
}

/** Gets and sends. */
static void *send_all(void *argument) {
    struct job *job = argument;
    void *local, *bulk[MAX_BULK];
    if (enter_together(job, &local)) return NULL;
    for (uint32_t round = 0; round < job->rounds; round++) {
        while (job->table->get_bulk(job->pool, local, bulk, job->bulk) != 0) sched_yield();
        own(job, bulk, job->bulk, 0, 1);
        for (uint32_t i = 0; i < job->bulk; i++) {
            _Atomic(void *) *slot = &job->wire[((uint64_t)round * job->bulk + i) % WIRE];
            while (atomic_load(slot) != NULL) sched_yield();
            atomic_store(slot, bulk[i]);
        }
    }
    job->table->thread_leave(job->pool, local);
    return NULL;
}

/** Receives and puts: these objects were taken by the other thread. */
static void *receive_all(void *argument) {
    struct job *job = argument;
    void *local, *bulk[MAX_BULK];
    if (enter_together(job, &local)) return NULL;
    for (uint32_t round = 0; round < job->rounds; round++) {
        for (uint32_t i = 0; i < job->bulk; i++) {
            _Atomic(void *) *slot = &job->wire[((uint64_t)round * job->bulk + i) % WIRE];
            while ((bulk[i] = atomic_exchange(slot, NULL)) == NULL) sched_yield();
        }
        own(job, bulk, job->bulk, 1, 0);
        job->table->put_bulk(job->pool, local, bulk, job->bulk);
    }
    job->table->thread_leave(job->pool, local);
    return NULL;
}

static int run(struct job *jobs, uint32_t n, void *(*first)(void *), void *(*others)(void *)) {
    pthread_t threads[MAX_THREADS];
    int failed = 0;
    for (uint32_t i = 0; i < n; i++) pthread_create(&threads[i], NULL, i == 0 ? first : others, &jobs[i]);
    for (uint32_t i = 0; i < n; i++) pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < n; i++) failed |= jobs[i].failed;
    return failed;
}

/** n threads, each with gets and puts of its own. Returns 0, or 1 with a message. */
int drive_churn(const allocmark_backend *table, void *pool, uint32_t n, uint32_t rounds, uint32_t bulk,
                uint32_t hold, const int32_t *cpus, char *message) {
    struct job jobs[MAX_THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, n);
    for (uint32_t i = 0; i < n; i++)
        jobs[i] = (struct job){.table = table,
                               .pool = pool,
                               .slot = i,
                               .rounds = rounds,
                               .bulk = bulk,
                               .hold = hold,
                               .cpu = cpus[i],
                               .message = message,
                               .barrier = &barrier};
    return run(jobs, n, churn, churn);
}

/** One thread gets, another puts. Returns 0, or 1 with a message. */
int drive_cross(const allocmark_backend *table, void *pool, uint32_t rounds, uint32_t bulk,
                const int32_t *cpus, char *message) {
    static _Atomic(void *) wire[WIRE];
    struct job jobs[2];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    for (uint32_t i = 0; i < 2; i++)
        jobs[i] = (struct job){.table = table,
                               .pool = pool,
                               .slot = i,
                               .rounds = rounds,
                               .bulk = bulk,
                               .cpu = cpus[i],
                               .message = message,
                               .barrier = &barrier,
                               .wire = wire};
    return run(jobs, 2, send_all, receive_all);
}

struct exhaust {
    struct job job;
    void **objects;
    uint64_t capacity, taken;
    int refusal, refusal_of_bulk;
};

static void *take_all(void *argument) {
    struct exhaust *e = argument;
    void *local, *two[2];
    if (enter(&e->job, &local)) return NULL;
    while (e->taken < e->capacity &&
           (e->refusal = e->job.table->get_bulk(e->job.pool, local, &e->objects[e->taken], 1)) == 0)
        e->taken++;
    uint64_t held = e->taken;
    if (held > 0) { /* all or nothing: with one object left, two must be refused and the one stay there */
        e->job.table->put_bulk(e->job.pool, local, &e->objects[--held], 1);
        e->refusal_of_bulk = e->job.table->get_bulk(e->job.pool, local, two, 2);
        if (e->job.table->get_bulk(e->job.pool, local, &e->objects[held], 1) == 0)
            held++;
        else
            fail(&e->job, "the refused bulk lost an object");
    }
    for (uint64_t i = 0; i < held; i++) memset(e->objects[i], 0, sizeof(owner_word));
    for (uint64_t i = 0; i < held; i++) e->job.table->put_bulk(e->job.pool, local, &e->objects[i], 1);
    e->job.table->thread_leave(e->job.pool, local);
    return NULL;
}

/**
 * Takes single objects until there are none, checks that a bulk of two is refused while one is left, and
 * gives all back, in a thread of its own. Fills `objects` (room for capacity) and `refusals` (of one, of
 * two). Returns how many there were.
 */
uint64_t drive_exhaust(const allocmark_backend *table, void *pool, void **objects, uint64_t capacity,
                       int *refusals, char *message) {
    struct exhaust e = {.job = {.table = table, .pool = pool, .cpu = -1, .message = message},
                        .objects = objects,
                        .capacity = capacity};
    pthread_t thread;
    pthread_create(&thread, NULL, take_all, &e);
    pthread_join(thread, NULL);
    refusals[0] = e.refusal;
    refusals[1] = e.refusal_of_bulk;
    return e.taken;
}

/**
 * The least ns per object for one get and one put, of `samples` samples, in the shape of DPDK's own
 * mempool_perf_autotest: get `keep` objects in bulks, put them in bulks, and again. Called from a thread that
 * may enter. Returns a negative number when the pool refuses.
 */
double drive_time(const allocmark_backend *table, void *pool, uint32_t keep, uint32_t bulk, uint32_t samples,
                  int32_t cpu) {
    struct job job = {.table = table, .pool = pool, .cpu = cpu, .message = (char[512]){""}};
    void *local, **kept = calloc(keep, sizeof *kept);
    double least = 1e9;
    if (enter(&job, &local)) return -1;
    for (uint32_t sample = 0; sample < samples; sample++) {
        const uint32_t rounds = 4000000 / keep;
        struct timespec start, stop;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (uint32_t round = 0; round < rounds; round++) {
            for (uint32_t i = 0; i < keep; i += bulk)
                if (table->get_bulk(pool, local, kept + i, bulk) != 0) return -1;
            for (uint32_t i = 0; i < keep; i += bulk) table->put_bulk(pool, local, kept + i, bulk);
        }
        clock_gettime(CLOCK_MONOTONIC, &stop);
        const double ns = (stop.tv_sec - start.tv_sec) * 1e9 + (stop.tv_nsec - start.tv_nsec);
        if (ns / rounds / keep < least) least = ns / rounds / keep;
    }
    table->thread_leave(pool, local);
    free(kept);
    return least;
}
