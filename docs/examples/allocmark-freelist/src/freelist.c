/* SPDX-License-Identifier: BSD-3-Clause */
/** A pool of objects of one size: one piece of memory, and a LIFO free list threaded through it. */
#include <allocmark/backend.h>
#include <allocmark/say.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct free_object {
    struct free_object *next;
} free_object;

typedef struct {
    pthread_mutex_t lock;
    free_object *first;
    uint64_t available;
    uint64_t bytes;
    char *memory;
} freelist;

static int huge_pages; /* whether this process runs the variant on transparent huge pages */

static int freelist_init(const allocmark_init *init, allocmark_error *error) {
    (void)error;
    for (uint32_t i = 0; i < init->n_options; i++)
        if (strcmp(init->options[i].key, "pages") == 0)
            huge_pages = strcmp(init->options[i].value, "thp") == 0;
    return 0;
}

static void freelist_put_bulk(void *pool, void *local, void *const *objects, uint32_t n) {
    freelist *list = pool;
    (void)local;
    pthread_mutex_lock(&list->lock);
    for (uint32_t i = 0; i < n; i++) {
        free_object *object = objects[i];
        object->next = list->first;
        list->first = object;
    }
    list->available += n;
    pthread_mutex_unlock(&list->lock);
}

static int freelist_get_bulk(void *pool, void *local, void **objects, uint32_t n) {
    freelist *list = pool;
    (void)local;
    pthread_mutex_lock(&list->lock);
    const int enough = list->available >= n;
    if (enough) {
        for (uint32_t i = 0; i < n; i++) {
            objects[i] = list->first;
            list->first = list->first->next;
        }
        list->available -= n;
    }
    pthread_mutex_unlock(&list->lock);
    return enough ? 0 : -ENOENT;
}

static int freelist_pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) {
    /* Objects follow each other at a stride that keeps the alignment and has room for the link. */
    uint64_t alignment = spec->alignment, padded, stride, bytes;
    if (alignment < _Alignof(max_align_t)) alignment = _Alignof(max_align_t);
    const int too_long = __builtin_add_overflow(spec->object_size, alignment - 1, &padded);
    stride = padded & ~(alignment - 1);
    if (too_long || __builtin_mul_overflow(stride, spec->objects, &bytes)) {
        allocmark_say(error, "pool '%s': %llu objects of %llu bytes are no size", spec->name,
                      (unsigned long long)spec->objects, (unsigned long long)spec->object_size);
        return -EINVAL;
    }

    freelist *list = calloc(1, sizeof *list);
    /* One huge page may hold other things as well: a pool on huge pages takes whole ones. */
    const uint64_t unit = huge_pages ? 2 << 20 : alignment, size = (bytes + unit - 1) / unit * unit;
    char *memory = aligned_alloc(unit, size);
    if (list == NULL || memory == NULL) {
        free(list);
        free(memory);
        allocmark_say(error, "pool '%s': no memory for %llu bytes", spec->name, (unsigned long long)bytes);
        return -ENOMEM;
    }
    if (huge_pages) madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 0, bytes); /* populate: page faults belong here, not into a measurement */

    pthread_mutex_init(&list->lock, NULL);
    list->memory = memory;
    list->bytes = bytes;
    for (uint64_t offset = bytes; offset > 0; offset -= stride) { /* so that the first object is on top */
        void *object = memory + offset - stride;
        freelist_put_bulk(list, NULL, &object, 1);
    }
    *pool = list;
    return 0;
}

static void freelist_pool_destroy(void *pool) {
    freelist *list = pool;
    pthread_mutex_destroy(&list->lock);
    free(list->memory);
    free(list);
}

static int freelist_thread_enter(void *pool, const allocmark_thread *thread, void **local,
                                 allocmark_error *error) {
    (void)pool;
    (void)thread;
    (void)error;
    *local = NULL; /* no per-thread cache */
    return 0;
}

static void freelist_thread_leave(void *pool, void *local) {
    (void)pool;
    (void)local;
}

static uint64_t freelist_available(void *pool) {
    return ((freelist *)pool)->available;
}

static uint32_t freelist_regions(void *pool, allocmark_region *regions, uint32_t capacity) {
    const freelist *list = pool;
    if (capacity > 0) regions[0] = (allocmark_region){(uintptr_t)list->memory, list->bytes};
    return 1;
}

static const allocmark_backend table = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = freelist_init,
    .pool_create = freelist_pool_create,
    .pool_destroy = freelist_pool_destroy,
    .thread_enter = freelist_thread_enter,
    .thread_leave = freelist_thread_leave,
    .get_bulk = freelist_get_bulk,
    .put_bulk = freelist_put_bulk,
    .available = freelist_available,
    .regions = freelist_regions,
};

const void *allocmark_freelist_table(void) {
    return &table;
}
