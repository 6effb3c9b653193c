/* SPDX-License-Identifier: BSD-3-Clause */
/* The C interface from C: codes, messages and figures. */
#include "turbomem/turbomem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

int main(void) {
    CHECK(strcmp(turbomem_version(), TURBOMEM_VERSION) == 0);

    turbomem_options options = {
        .object_size = 100, .objects = 1000, .magazine = 16, .max_threads = 2, .pages = TURBOMEM_PAGES_BASE};
    turbomem_pool *pool = NULL;
    turbomem_error error = {""};
    CHECK(turbomem_create(&options, &pool, &error) == 0 && pool != NULL);

    turbomem_cache *one = NULL, *two = NULL;
    CHECK(turbomem_enter(pool, 0, &one, &error) == 0);
    CHECK(turbomem_enter(pool, 0, &two, &error) == -EBUSY && strstr(error.message, "slot 0") != NULL);
    CHECK(turbomem_enter(pool, 2, &two, NULL) == -EINVAL && two == NULL);
    CHECK(turbomem_enter(pool, 1, &two, &error) == 0);

    void *objects[1000];
    uint64_t length = 0;
    char *start = turbomem_region(pool, &length);
    CHECK(turbomem_get_bulk(one, objects, 1001) == -ENOENT);
    CHECK(turbomem_get_bulk(one, objects, 1000) == 0);
    for (int i = 0; i < 1000; ++i) {
        CHECK((char *)objects[i] >= start && (char *)objects[i] + 100 <= start + length);
        memset(objects[i], i, 100);
    }
    CHECK(turbomem_get_bulk(two, objects, 1) == -ENOENT);

    turbomem_stats stats;
    turbomem_get_stats(pool, &stats);
    CHECK(stats.available == 0 && stats.object_stride == 128 && stats.region_bytes == length);
    CHECK(stats.magazine == 16 && stats.magazines == 1000 / 16 + 5 * 2 && stats.cache == 32);
    CHECK(stats.depot_exchanges != 0 && stats.depot_steals != 0); /* the other slot's objects, too */

    turbomem_put_bulk(two, objects, 1000);
    turbomem_leave(one);
    turbomem_leave(two);
    turbomem_get_stats(pool, &stats);
    CHECK(stats.available == 1000);
    uint64_t huge = 1;
    CHECK(turbomem_huge_bytes(pool, &huge) == 0 && huge == 0);
    turbomem_destroy(pool);
    turbomem_destroy(NULL);

    turbomem_options bad = options;
    pool = NULL;
    bad.pages = 7;
    CHECK(turbomem_create(&bad, &pool, &error) == -EINVAL && strstr(error.message, "pages is 7") != NULL);
    bad = options;
    bad.alignment = 3;
    CHECK(turbomem_create(&bad, &pool, &error) == -EINVAL && strstr(error.message, "alignment is 3") != NULL);
    bad = options;
    bad.objects = (uint64_t)1 << 40;
    bad.magazine = 4096;
    CHECK(turbomem_create(&bad, &pool, &error) == -ENOMEM && strstr(error.message, "available") != NULL);
    CHECK(turbomem_create(&bad, &pool, NULL) == -ENOMEM && pool == NULL);
    return 0;
}
