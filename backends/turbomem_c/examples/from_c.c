/* SPDX-License-Identifier: BSD-3-Clause */
/* The same pools from C. */
#include <turbomem/turbomem.h>

#include <stdio.h>

int main(void) {
    turbomem_options options = {
        .size = sizeof options, .object_size = 2176, .objects = 65535, .max_threads = 2};
    turbomem_pool *pool;
    turbomem_cache *mine;
    turbomem_error error;
    if (turbomem_create(&options, &pool, &error) != 0 ||
        turbomem_enter(pool, TURBOMEM_ANY_SLOT, &mine, &error) != 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }

    void *burst[32];
    long packets = 0;
    for (int round = 0; round < 1000; ++round) {
        if (turbomem_get_bulk(mine, burst, 32) != 0) break; /* 0: all 32; -ENOENT: none */
        packets += 32;
        turbomem_put_bulk(mine, burst, 32);
    }
    turbomem_leave(mine);
    printf("%ld packets\n", packets);
    return turbomem_destroy(pool);
}
