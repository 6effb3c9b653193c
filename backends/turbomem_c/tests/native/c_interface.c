/* SPDX-License-Identifier: BSD-3-Clause */
/* The C interface from C: codes, messages and figures. */
#include "turbomem/turbomem.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* See check.hpp: it makes up smaps, and cannot keep as many addresses as a pool that is too large asks for.
 */
#ifdef EMULATED
enum { emulated = 1 };
#else
enum { emulated = 0 };
#endif

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static const turbomem_options usual = {.size = sizeof(turbomem_options),
                                       .max_threads = 2,
                                       .object_size = 100,
                                       .objects = 1000,
                                       .magazine = 16,
                                       .pages = TURBOMEM_PAGES_BASE};

static turbomem_stats stats_of(const turbomem_pool *pool) {
    turbomem_stats stats = {.size = sizeof stats};
    CHECK(turbomem_get_stats(pool, &stats) == 0);
    return stats;
}

static turbomem_pool *made(const turbomem_options *options) {
    turbomem_pool *pool = NULL;
    turbomem_error error = {""};
    if (turbomem_create(options, &pool, &error) != 0) fprintf(stderr, "%s\n", error.message);
    CHECK(pool != NULL);
    return pool;
}

static void two_threads_share_a_pool(void) {
    turbomem_pool *pool = made(&usual);
    turbomem_error error = {""};
    turbomem_cache *one = NULL, *two = NULL, *three = NULL;
    CHECK(turbomem_enter(pool, 0, &one, &error) == 0);
    CHECK(turbomem_enter(pool, 0, &two, &error) == -EBUSY && strstr(error.message, "slot 0") != NULL);
    CHECK(turbomem_enter(pool, 2, &two, NULL) == -EINVAL && two == NULL);
    CHECK(turbomem_enter(pool, TURBOMEM_ANY_SLOT, &two, &error) == 0);
    CHECK(turbomem_enter(pool, TURBOMEM_ANY_SLOT, &three, &error) == 0); /* without a slot */
    void *object = NULL;
    CHECK(turbomem_get_bulk(three, &object, 1) == 0 && turbomem_put_bulk(three, &object, 1) == 0);
    turbomem_cache *const guest = three;
    CHECK(turbomem_leave(three) == 0 && turbomem_get_bulk(three, &object, 1) == -ESTALE);
    CHECK(turbomem_enter(pool, TURBOMEM_ANY_SLOT, &three, &error) == 0 && three == guest);
    CHECK(stats_of(pool).cached == 0);

    void *objects[1000];
    CHECK(turbomem_get_bulk(one, objects, 1001) == -ENOENT);
    CHECK(turbomem_get_bulk(one, objects, 400) == 0);
    CHECK(turbomem_get_up_to(one, objects + 400, 601) == 600);
    turbomem_region region = {.size = sizeof region};
    CHECK(turbomem_get_regions(pool, &region, 1, &error) == 1);
    for (int i = 0; i < 1000; ++i) {
        CHECK((char *)objects[i] >= (char *)region.start);
        CHECK((char *)objects[i] + 100 <= (char *)region.start + region.length);
        CHECK(turbomem_owns(pool, objects[i]) == 1);
        memset(objects[i], i, 100);
    }
    CHECK(turbomem_owns(pool, &region) == 0);
    CHECK(turbomem_get_bulk(two, objects, 1) == -ENOENT && turbomem_get_up_to(two, objects, 1) == 0);
    CHECK(turbomem_pool_get_bulk(pool, objects, 1) == -ENOENT);

    turbomem_stats stats = stats_of(pool);
    CHECK(stats.objects == 1000 && stats.available == 0 && stats.object_stride == 128);
    CHECK(stats.region_bytes == region.length && stats.magazine == 16 && stats.cache_limit == 32 &&
          stats.nodes == 1);
    CHECK(stats.depot_exchanges != 0 && stats.depot_steals != 0); /* the other slot's objects, too */
    CHECK(stats.in_use == 1000 && stats.least_available == 0 && stats.failed_gets == 3);
    CHECK(stats.get_misses != 0 && stats.guest_calls == 3 && stats.gets == 0 && stats.put == 0);
    CHECK(region.thp + region.hugetlb_2m + region.hugetlb_1g == 0);
    CHECK(emulated || region.base == region.length);

    CHECK(turbomem_put_bulk(two, objects, 900) == 0);
    CHECK(turbomem_pool_put_bulk(pool, objects + 900, 100) == 0);
    CHECK(turbomem_leave(one) == 0 && turbomem_leave(two) == 0);
    CHECK(stats_of(pool).available == 1000 && stats_of(pool).cached == 0);
    uint64_t before = 1, after = 1;
    CHECK(turbomem_remerge(pool, &before, &after) == 0 && before == 0 && after == 0);
    CHECK(turbomem_remerge(pool, NULL, NULL) == 0);
    CHECK(turbomem_audit(pool) == -ENOTSUP);
    CHECK(turbomem_destroy(pool) == 0 && turbomem_destroy(NULL) == 0);
}

static void calls_are_counted(void) {
    turbomem_options options = usual;
    options.count_calls = 1;
    options.name = "buffers";
    turbomem_pool *pool = made(&options);
    turbomem_cache *cache = NULL;
    void *objects[8];
    CHECK(turbomem_enter(pool, 0, &cache, NULL) == 0);
    for (int i = 0; i < 10; ++i)
        CHECK(turbomem_get_bulk(cache, objects, 8) == 0 && turbomem_put_bulk(cache, objects, 8) == 0);
    const turbomem_stats stats = stats_of(pool);
    CHECK(stats.gets == 10 && stats.got == 80 && stats.puts == 10 && stats.put == 80);
    CHECK(stats.get_misses == 1 && stats.put_misses == 0 && strcmp(stats.name, "buffers") == 0);
    turbomem_error error = {""};
    turbomem_pool *none = NULL;
    options.objects = 0;
    CHECK(turbomem_create(&options, &none, &error) == -EINVAL);
    CHECK(strcmp(error.message, "pool 'buffers': objects is 0, not at least 1") == 0);
    CHECK(turbomem_leave(cache) == 0 && turbomem_destroy(pool) == 0);
}

static void note_misuse(void *context, int code, const void *object, const char *message) {
    CHECK(code == -EFAULT && object == context && strstr(message, "pool 'hard'") != NULL);
}

static void a_hardened_pool_takes_its_objects_only(void) {
    char foreign = 0;
    turbomem_options options = usual;
    options.checks = TURBOMEM_CHECKS_HARDENED;
    options.name = "hard";
    options.on_misuse = note_misuse;
    options.context = &foreign;
    turbomem_pool *pool = made(&options);
    turbomem_cache *cache = NULL;
    void *objects[2] = {NULL, &foreign};
    CHECK(turbomem_enter(pool, 0, &cache, NULL) == 0 && turbomem_get_bulk(cache, objects, 1) == 0);
    CHECK(turbomem_put_bulk(cache, objects, 2) == -EFAULT && stats_of(pool).available == 1000);
    CHECK(turbomem_leave(cache) == 0 && turbomem_destroy(pool) == 0);
    options.checks = 3;
    turbomem_error error = {""};
    CHECK(turbomem_create(&options, &pool, &error) == -EINVAL &&
          strstr(error.message, "checks is 3") != NULL);
}

static void what_is_gone_is_known(void) {
    turbomem_pool *pool = made(&usual);
    turbomem_cache *cache = NULL;
    turbomem_error error = {""};
    void *object = NULL;
    CHECK(turbomem_enter(pool, 1, &cache, &error) == 0);
    CHECK(turbomem_leave(cache) == 0);
    CHECK(turbomem_leave(cache) == -ESTALE && turbomem_get_bulk(cache, &object, 1) == -ESTALE);
    CHECK(turbomem_enter(pool, 1, &cache, &error) == 0);
    CHECK(turbomem_destroy(pool) == 0);

    turbomem_stats stats = {.size = sizeof stats};
    turbomem_region region = {.size = sizeof region};
    CHECK(turbomem_destroy(pool) == -ESTALE && turbomem_leave(cache) == -ESTALE);
    CHECK(turbomem_get_bulk(cache, &object, 1) == -ESTALE && turbomem_put_bulk(cache, &object, 1) == -ESTALE);
    CHECK(turbomem_get_up_to(cache, &object, 1) == -ESTALE && turbomem_audit(pool) == -ESTALE);
    CHECK(turbomem_pool_get_bulk(pool, &object, 1) == -ESTALE && turbomem_owns(pool, &object) == -ESTALE);
    CHECK(turbomem_get_stats(pool, &stats) == -ESTALE && turbomem_remerge(pool, NULL, NULL) == -ESTALE);
    CHECK(turbomem_get_regions(pool, &region, 1, &error) == -ESTALE &&
          strstr(error.message, "destroyed") != NULL);
    CHECK(turbomem_enter(pool, 0, &cache, &error) == -ESTALE);
    CHECK(turbomem_get_bulk(NULL, &object, 1) == -ESTALE && turbomem_put_bulk(NULL, &object, 1) == -ESTALE);
    CHECK(turbomem_enter(NULL, 0, &cache, NULL) == -ESTALE);
    for (int i = 0; i < 200; ++i)
        CHECK(turbomem_destroy(made(&usual)) == 0); /* only so many are remembered */
}

static void impossible_options_are_refused(void) {
    turbomem_pool *pool = NULL;
    turbomem_error error = {""};
    turbomem_options bad;
#define REFUSED(change, code, says)                                                                          \
    bad = usual;                                                                                             \
    change;                                                                                                  \
    CHECK(turbomem_create(&bad, &pool, &error) == (code));                                                   \
    if (strstr(error.message, says) == NULL) fprintf(stderr, "%s\n", error.message);                         \
    CHECK(strstr(error.message, says) != NULL && pool == NULL);                                              \
    CHECK(turbomem_create(&bad, &pool, NULL) == (code))

    REFUSED(bad.pages = 7, -EINVAL, "pages is 7");
    REFUSED(bad.numa = 3, -EINVAL, "numa is 3");
    REFUSED(bad.alignment = 3, -EINVAL, "alignment is 3");
    REFUSED(bad.object_size = 0, -EINVAL, "object_size is 0");
    REFUSED(bad.object_size = UINT64_MAX, -EINVAL, "object_size is");
    REFUSED(bad.objects = 0, -EINVAL, "objects is 0");
    REFUSED(bad.objects = UINT64_MAX, -EINVAL, "objects is");
    REFUSED(bad.max_threads = 65537, -EINVAL, "max_threads is 65537");
    REFUSED((bad.one_node = 1, bad.node = 12345), -ENODEV, "12345");
    REFUSED((bad.one_node = 1, bad.node = -1), -EINVAL, "node is -1");
    REFUSED((bad.objects = 1 << 22, bad.object_size = 1 << 16), -ENOMEM, emulated ? "memory" : "available");
    REFUSED(bad.size = 0, -EINVAL, "size is 0");
    CHECK(turbomem_create(NULL, &pool, &error) == -EINVAL && strstr(error.message, "NULL") != NULL);
    CHECK(turbomem_pin(1 << 20, &error) == -EINVAL && strstr(error.message, "CPU 1048576") != NULL);
}

static void older_and_newer_callers_are_served(void) {
    struct {
        turbomem_options options;
        char later[64];
    } newer = {.options = usual};
    newer.options.size = sizeof newer;
    turbomem_pool *pool = NULL;
    turbomem_error error = {""};
    newer.later[9] = 1; /* what it asks for is not known here */
    CHECK(turbomem_create(&newer.options, &pool, &error) == -EINVAL && pool == NULL);
    CHECK(strstr(error.message, "as new as the header") != NULL);
    newer.later[9] = 0;
    pool = made(&newer.options);
    /* One that knows the first members only: nothing is written behind them. */
    turbomem_stats stats;
    memset(&stats, 0x77, sizeof stats);
    stats.size = offsetof(turbomem_stats, available);
    CHECK(turbomem_get_stats(pool, &stats) == 0 && stats.objects == 1000);
    CHECK(stats.available == 0x7777777777777777u && stats.size == offsetof(turbomem_stats, available));
    stats.size = 0;
    CHECK(turbomem_get_stats(pool, &stats) == -EINVAL);
    CHECK(turbomem_destroy(pool) == 0);

    turbomem_options older = {.size = offsetof(turbomem_options, alignment),
                              .object_size = 10,
                              .objects = 50,
                              .alignment = 3, /* not there for it */
                              .pages = 99};
    CHECK(turbomem_destroy(made(&older)) == 0);
}

static int codes[8];
static const void *pointers[8];
static int told;

static void note(void *context, int code, const void *object, const char *message) {
    CHECK(context == &told && strchr(message, '\n') == NULL && told < 8);
    codes[told] = code;
    pointers[told++] = object;
}

static void misuse_is_found_where_asked_for(void) {
    turbomem_options options = usual;
    options.checks = 1;
    options.on_misuse = note;
    options.context = &told;
    turbomem_pool *pool = made(&options), *silent = NULL, *other = made(&options);
    options.on_misuse = NULL;
    silent = made(&options);
    turbomem_cache *cache = NULL, *quiet = NULL;
    CHECK(turbomem_enter(pool, 0, &cache, NULL) == 0 && turbomem_enter(silent, 0, &quiet, NULL) == 0);

    void *objects[4], *foreign = &options;
    CHECK(turbomem_get_bulk(cache, objects, 4) == 0);
    CHECK(turbomem_put_bulk(cache, objects, 1) == 0);
    CHECK(turbomem_put_bulk(cache, objects, 4) == -EALREADY); /* the other three are back */
    CHECK(told == 1 && codes[0] == -EALREADY && pointers[0] == objects[0]);
    CHECK(stats_of(pool).available == 1000);
    CHECK(turbomem_put_bulk(cache, &foreign, 1) == -EFAULT && told == 2);
    CHECK(turbomem_pool_put_bulk(pool, &foreign, 1) == -EFAULT && told == 3);
    CHECK(turbomem_put_bulk(quiet, &foreign, 1) == -EFAULT && told == 3);
    CHECK(turbomem_pool_get_bulk(other, objects, 1) == 0);
    CHECK(turbomem_put_bulk(cache, objects, 1) == -EXDEV && told == 4);
    CHECK(turbomem_destroy(other) == -EBUSY && told == 5 && codes[4] == -EBUSY);
    CHECK(turbomem_pool_put_bulk(other, objects, 1) == 0 && turbomem_destroy(other) == 0);
    CHECK(turbomem_audit(pool) == 0 && turbomem_audit(silent) == 0);

#ifndef SANITIZED /* a sanitizer would end the program at the write itself */
    CHECK(turbomem_get_bulk(cache, objects, 2) == 0);
    char *high = objects[0] > objects[1] ? objects[0] : objects[1];
    high[-1] ^= 1;
    high[100] ^= 1;
    CHECK(turbomem_audit(pool) == 1 && told == 6 && codes[5] == -EOVERFLOW && pointers[5] == high);
    high[100] ^= 1;
    CHECK(turbomem_put_bulk(cache, objects, 2) == -EOVERFLOW && told == 7); /* and both are back */
    high[50] ^= 1;
    CHECK(turbomem_get_bulk(cache, objects, 2) == -EUCLEAN && told == 8 && stats_of(pool).available == 1000);
    CHECK(turbomem_get_bulk(cache, objects, 2) == 0 && turbomem_put_bulk(cache, objects, 2) == 0);
#endif
    CHECK(turbomem_leave(cache) == 0 && turbomem_leave(quiet) == 0);
    CHECK(turbomem_destroy(pool) == 0 && turbomem_destroy(silent) == 0);
}

static void other_kinds_of_pool_work_alike(void) {
    const uint32_t strictest = emulated ? TURBOMEM_NUMA_PREFERRED : TURBOMEM_NUMA_STRICT;
    for (uint32_t checks = 0; checks < 2; ++checks) {
        for (uint32_t numa = TURBOMEM_NUMA_ANY; numa <= strictest; ++numa) {
            turbomem_options options = usual;
            options.checks = checks;
            options.numa = numa;
            options.uncached = checks;
            turbomem_pool *pool = made(&options);
            turbomem_cache *cache = NULL;
            void *objects[100];
            CHECK(turbomem_enter(pool, 0, &cache, NULL) == 0);
            CHECK(turbomem_get_bulk(cache, objects, 100) == 0 && turbomem_put_bulk(cache, objects, 100) == 0);
            CHECK((stats_of(pool).cache_limit == 0) == (checks != 0));
            CHECK(turbomem_leave(cache) == 0 && stats_of(pool).available == 1000 &&
                  turbomem_destroy(pool) == 0);
        }
    }
}

/* These read files, which are cancellation points. Not under the sanitizer: it takes a thread that is
 * cancelled for one that writes below its stack. */
#ifndef SANITIZED
static void *makes_and_asks(void *reached) {
    pthread_cancel(pthread_self());
    turbomem_pool *const pool = made(&usual);
    turbomem_region region = {.size = sizeof region};
    CHECK(turbomem_get_regions(pool, &region, 1, NULL) == 1);
    CHECK(turbomem_destroy(pool) == 0);
    *(int *)reached = 1;
    pthread_testcancel();
    *(int *)reached = 2;
    return NULL;
}

static void a_thread_is_cancelled_behind_a_call(void) {
    pthread_t thread;
    void *result = NULL;
    int reached = 0;
    CHECK(pthread_create(&thread, NULL, makes_and_asks, &reached) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED && reached == 1);
}
#else
static void a_thread_is_cancelled_behind_a_call(void) {}
#endif

int main(void) {
    CHECK(strcmp(turbomem_version(), TURBOMEM_VERSION) == 0);
    two_threads_share_a_pool();
    calls_are_counted();
    a_hardened_pool_takes_its_objects_only();
    what_is_gone_is_known();
    impossible_options_are_refused();
    older_and_newer_callers_are_served();
    misuse_is_found_where_asked_for();
    other_kinds_of_pool_work_alike();
    a_thread_is_cancelled_behind_a_call();
    return 0;
}
