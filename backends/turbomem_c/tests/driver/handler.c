/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What the mempool handler promises, case by case: `handler CASE EAL-ARGUMENTS`. Exits 0, or says what broke.
 * Every object carries the number of the thread that has it: one that is handed out twice shows.
 */
#include <turbomem_dpdk.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s; rte_errno: %s\n", __FILE__, __LINE__, #condition,                    \
                    rte_strerror(rte_errno));                                                                \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

enum { OBJECTS = 4095, HOLD = 300, ROUNDS = 20000 };

static struct rte_mempool *make(const char *name, unsigned objects, unsigned cache) {
    struct rte_mempool *pool = rte_mempool_create_empty(name, objects, 64, cache, 0, SOCKET_ID_ANY, 0);
    EXPECT(pool != NULL);
    EXPECT(rte_mempool_set_ops_byname(pool, "turbomem", NULL) == 0);
    return pool;
}

static struct rte_mempool *filled(const char *name, unsigned objects, unsigned cache) {
    struct rte_mempool *pool = make(name, objects, cache);
    EXPECT(rte_mempool_populate_default(pool) == (int)objects);
    EXPECT(rte_mempool_avail_count(pool) == objects);
    return pool;
}

struct worker {
    pthread_t thread;
    struct rte_mempool *pool;
    unsigned number;
    bool registered;
};

static int churn(void *argument) {
    struct worker *w = argument;
    void *held[HOLD + 64];
    unsigned n = 0, random = w->number;
    if (w->registered) EXPECT(rte_thread_register() == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        random = random * 1664525u + 1013904223u;
        const unsigned k = 1 + (random >> 16) % 64;
        if (n + k <= HOLD + 64 && (random & 1 << 30) && rte_mempool_get_bulk(w->pool, held + n, k) == 0) {
            for (unsigned i = n; i < n + k; i++) {
                EXPECT(*(unsigned *)held[i] == 0);
                *(unsigned *)held[i] = w->number;
            }
            n += k;
        } else if (n >= k) {
            n -= k;
            for (unsigned i = n; i < n + k; i++) {
                EXPECT(*(unsigned *)held[i] == w->number);
                *(unsigned *)held[i] = 0;
            }
            rte_mempool_put_bulk(w->pool, held + n, k);
        }
    }
    for (unsigned i = 0; i < n; i++) *(unsigned *)held[i] = 0;
    if (n > 0) rte_mempool_put_bulk(w->pool, held, n);
    if (w->registered) rte_thread_unregister();
    return 0;
}

static void *churn_thread(void *argument) {
    churn(argument);
    return NULL;
}

static void zero(struct rte_mempool *pool, void *unused, void *object, unsigned index) {
    (void)pool, (void)unused, (void)index;
    *(unsigned *)object = 0;
}

/** Lcores, registered threads and threads that are no lcore, on one pool that is nearly too small for them.
 */
static void threads(void) {
    for (unsigned cache = 0; cache <= 64; cache += 64) {
        struct rte_mempool *pool = filled("threads", 1200, cache);
        rte_mempool_obj_iter(pool, zero, NULL);
        struct worker workers[6];
        unsigned lcore, n = 0;
        RTE_LCORE_FOREACH_WORKER(lcore) {
            workers[n] = (struct worker){.pool = pool, .number = n + 1};
            EXPECT(rte_eal_remote_launch(churn, &workers[n++], lcore) == 0);
        }
        const unsigned lcores = n;
        EXPECT(lcores == 1);
        for (; n < 6; n++) {
            workers[n] = (struct worker){.pool = pool, .number = n + 1, .registered = n % 2 == 0};
            EXPECT(pthread_create(&workers[n].thread, NULL, churn_thread, &workers[n]) == 0);
        }
        for (unsigned i = lcores; i < n; i++) pthread_join(workers[i].thread, NULL);
        rte_eal_mp_wait_lcore();
        EXPECT(rte_mempool_avail_count(pool) == 1200);
        EXPECT(rte_mempool_full(pool));
        rte_mempool_free(pool);
    }
}

static int visit(void *pool) {
    void *held[1000];
    EXPECT(rte_mempool_get_bulk(pool, held, 1000) == 0);
    rte_mempool_put_bulk(pool, held, 1000);
    return 0;
}

/** What lies in another lcore's magazines is found: by the main lcore and by a thread that is none. */
static void *take_all(void *pool) {
    static _Thread_local void *all[OBJECTS + 1];
    EXPECT(rte_mempool_get_bulk(pool, all, OBJECTS + 1) == -ENOBUFS);
    EXPECT(rte_mempool_get_bulk(pool, all, OBJECTS) == 0);
    EXPECT(rte_mempool_avail_count(pool) == 0);
    EXPECT(rte_mempool_get_bulk(pool, all, 1) == -ENOBUFS);
    rte_mempool_put_bulk(pool, all, OBJECTS);
    EXPECT(rte_mempool_avail_count(pool) == OBJECTS);
    return NULL;
}

static void nothing_is_stranded(void) {
    struct rte_mempool *pool = filled("stranded", OBJECTS, 0);
    for (unsigned round = 0; round < 3; round++) {
        pthread_t thread;
        EXPECT(rte_eal_remote_launch(visit, pool, rte_get_next_lcore(-1, 1, 0)) == 0);
        rte_eal_mp_wait_lcore();
        take_all(pool);
        EXPECT(pthread_create(&thread, NULL, take_all, pool) == 0);
        pthread_join(thread, NULL);
    }
    rte_mempool_free(pool);
}

/** Exact whatever the calls were. */
static void count(void) {
    struct rte_mempool *pool = filled("count", OBJECTS, 128);
    void *held[OBJECTS];
    unsigned n = 0;
    for (unsigned k = 1; n + k <= OBJECTS; n += k, k = k % 97 + 1) {
        EXPECT(rte_mempool_get_bulk(pool, held + n, k) == 0);
        EXPECT(rte_mempool_avail_count(pool) == OBJECTS - n - k);
        EXPECT(rte_mempool_in_use_count(pool) == n + k);
    }
    for (; n > 0; n--) {
        rte_mempool_put(pool, held[n - 1]);
        EXPECT(rte_mempool_avail_count(pool) == OBJECTS - n + 1);
    }
    rte_mempool_free(pool);
}

static int by_address(const void *a, const void *b) {
    const char *const *one = a, *const *other = b;
    return (*one > *other) - (*one < *other);
}

static void must_be_distinct(void **objects, unsigned n) {
    void *sorted[OBJECTS];
    memcpy(sorted, objects, n * sizeof *objects);
    qsort(sorted, n, sizeof *sorted, by_address);
    for (unsigned i = 1; i < n; i++) EXPECT(sorted[i] != sorted[i - 1]);
}

/** A get fails that wanted to fill rte_mempool's cache first: what lies in that is handed out afterwards. By
 * an lcore, and by a thread that is none and has a cache of its own.
 */
static void too_few(void) {
    for (unsigned lcore = 0; lcore < 2; lcore++) {
        struct rte_mempool *pool = filled("few", 100, 32);
        struct rte_mempool_cache *cache =
            lcore ? rte_mempool_default_cache(pool, rte_lcore_id()) : rte_mempool_cache_create(32, 0);
        void *held[100];
        EXPECT(rte_mempool_generic_get(pool, held, 60, NULL) == 0);
        EXPECT(rte_mempool_generic_get(pool, held + 60, 1, cache) ==
               0); /* 32 more into the cache, 7 are left */
        EXPECT(rte_mempool_generic_get(pool, held + 61, 40, cache) == -ENOBUFS);
        EXPECT(rte_mempool_generic_get(pool, held + 61, 39, cache) == 0);
        must_be_distinct(held, 100);
        rte_mempool_generic_put(pool, held, 100, NULL);
        if (!lcore) rte_mempool_cache_free(cache);
        EXPECT(rte_mempool_avail_count(pool) == 100);
        rte_mempool_free(pool);
    }
}

/** No memory for the handler: an error, and the process goes on. */
static void no_memory(void) {
    struct rte_mempool *pool = make("none", 1u << 20, 512);
    struct rlimit limit, none = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    EXPECT(getrlimit(RLIMIT_AS, &limit) == 0);
    none.rlim_max = limit.rlim_max;
    EXPECT(setrlimit(RLIMIT_AS, &none) == 0);
    EXPECT(rte_mempool_populate_default(pool) == -ENOMEM);
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
    rte_mempool_free(pool);
    rte_mempool_free(filled("some", 100, 8));
}

static void thp(void) {
    for (unsigned round = 0; round < 5; round++) { /* what a pool had registered goes with it */
        struct rte_mempool *pool =
            turbomem_dpdk_pktmbuf_pool_create("packets", 20000, 256, 64, 2048, SOCKET_ID_ANY);
        EXPECT(pool != NULL);
        EXPECT(strcmp(rte_mempool_get_ops(pool->ops_index)->name, "turbomem") == 0);
        EXPECT(rte_mempool_avail_count(pool) == 20000);
        EXPECT(pool->nb_mem_chunks == 1 && !(pool->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG));
        EXPECT(rte_pktmbuf_data_room_size(pool) == 2048 && rte_pktmbuf_priv_size(pool) == 64);
        const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&pool->mem_list);
        EXPECT(turbomem_dpdk_huge_bytes(pool) == (int64_t)chunk->len);
        struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);
        EXPECT(packet != NULL && rte_pktmbuf_append(packet, 1500) != NULL);
        EXPECT(rte_pktmbuf_iova(packet) == (uintptr_t)rte_pktmbuf_mtod(packet, void *));
        EXPECT(rte_mem_virt2iova(packet) == (uintptr_t)packet);
        rte_mbuf_sanity_check(packet, 1);
        rte_pktmbuf_free(packet);

        EXPECT(turbomem_dpdk_populate_thp(pool) == -EINVAL); /* it has memory */
        EXPECT(turbomem_dpdk_pktmbuf_pool_create("packets", 100, 0, 0, 2048, SOCKET_ID_ANY) == NULL);
        EXPECT(rte_errno == EEXIST);
        rte_mempool_free(pool);
    }
    EXPECT(turbomem_dpdk_populate_thp(NULL) == -EINVAL && turbomem_dpdk_huge_bytes(NULL) == -EINVAL);
    EXPECT(turbomem_dpdk_pktmbuf_pool_create(NULL, 100, 0, 0, 2048, SOCKET_ID_ANY) == NULL &&
           rte_errno == EINVAL);
    EXPECT(turbomem_dpdk_pktmbuf_pool_create("odd", 100, 0, 3, 2048, SOCKET_ID_ANY) == NULL &&
           rte_errno == EINVAL);
    EXPECT(turbomem_dpdk_pktmbuf_pool_create("huge", 1u << 31, 0, 0, 65000, SOCKET_ID_ANY) == NULL);
    struct rte_mempool *other = rte_mempool_create_empty("ring", 5000, 2176, 0, 0, SOCKET_ID_ANY, 0);
    EXPECT(other != NULL && turbomem_dpdk_populate_thp(other) == 5000); /* any handler */
    EXPECT(rte_mempool_avail_count(other) == 5000);
    rte_mempool_free(other);
}

static void physical_addresses(void) {
    EXPECT(rte_eal_iova_mode() == RTE_IOVA_PA);
    EXPECT(turbomem_dpdk_pktmbuf_pool_create("p", 100, 0, 0, 2048, SOCKET_ID_ANY) == NULL &&
           rte_errno == ENOTSUP);
}

/** A child shares the objects with its parent, not the account of them: it is another process. */
static void forked(void) {
    struct rte_mempool *pool = filled("shared", 1000, 32);
    const pid_t child = fork();
    if (child == 0) {
        void *object;
        EXPECT(rte_mempool_generic_get(pool, &object, 1, NULL) == -ENOTSUP);
        EXPECT(rte_mempool_generic_get(filled("child's", 100, 0), &object, 1, NULL) == 0);
        EXPECT(rte_mempool_generic_get(pool, &object, 1, NULL) == -ENOTSUP);
        _exit(0);
    }
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(rte_mempool_avail_count(pool) == 1000);
    rte_mempool_free(pool);
}

/** Objects are out, and a get has failed; another mempool has none so far. For whoever asks, until stdin
 * ends.
 */
static void asked(void) {
    struct rte_mempool *none = make("none", 100, 0);
    struct rte_mempool *pool = filled("packets", 1000, 0);
    void *held[1000];
    EXPECT(rte_mempool_get_bulk(pool, held, 1000) == 0);
    EXPECT(rte_mempool_get_bulk(pool, held, 1) != 0);
    rte_mempool_put_bulk(pool, held, 700);
    printf("asked\n");
    fflush(stdout);
    EXPECT(getchar() == EOF);
    EXPECT(rte_mempool_avail_count(none) == 0);
}

static char **arguments;

/** A secondary process finds the pool and is refused, and the primary goes on with it. */
static void primary(void) {
    struct rte_mempool *pool = filled("shared", 1000, 32);
    const pid_t child = fork();
    if (child == 0) {
        arguments[1] = "secondary";
        execv(arguments[0], arguments);
        _exit(9);
    }
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    void *held[1000];
    EXPECT(rte_mempool_get_bulk(pool, held, 1000) == 0);
    rte_mempool_put_bulk(pool, held, 1000);
    rte_mempool_free(pool);
}

static void secondary(void) {
    struct rte_mempool *pool = rte_mempool_lookup("shared");
    void *object;
    EXPECT(rte_eal_process_type() == RTE_PROC_SECONDARY && pool != NULL);
    EXPECT(rte_mempool_generic_get(pool, &object, 1, NULL) == -ENOTSUP);
    EXPECT(rte_mempool_avail_count(pool) == 0);
    EXPECT(turbomem_dpdk_pktmbuf_pool_create("own", 100, 0, 0, 2048, SOCKET_ID_ANY) == NULL);
    EXPECT(rte_errno == ENOTSUP);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"threads", threads},
                 {"nothing_is_stranded", nothing_is_stranded},
                 {"count", count},
                 {"too_few", too_few},
                 {"no_memory", no_memory},
                 {"thp", thp},
                 {"physical_addresses", physical_addresses},
                 {"forked", forked},
                 {"asked", asked},
                 {"primary", primary},
                 {"secondary", secondary}};
    arguments = argv;
    for (size_t i = 0; i < RTE_DIM(cases); i++) {
        if (argc < 2 || strcmp(argv[1], cases[i].name) != 0) continue;
        char *eal[64] = {argv[0]};
        memcpy(eal + 1, argv + 2, (argc - 2) * sizeof *argv);
        EXPECT(rte_eal_init(argc - 1, eal) >= 0);
        cases[i].run();
        return rte_eal_cleanup();
    }
    fprintf(stderr, "%s: no such case\n", argc < 2 ? "" : argv[1]);
    return 2;
}
