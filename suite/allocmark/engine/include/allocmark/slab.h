/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * One block of memory with room for all objects of a pool, side by side: for allocators that keep a list of
 * free objects and leave it to the program where these lie. For C and C++.
 */
#ifndef ALLOCMARK_SLAB_H
#define ALLOCMARK_SLAB_H

#include <allocmark/say.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** Object i is at memory + i * stride. */
typedef struct allocmark_slab {
    char *memory;
    uint64_t stride, objects;
} allocmark_slab;

#define ALLOCMARK_SLAB_ALIGNMENT UINT64_C(64) /* of the block */

/**
 * What each object takes, at least `least` bytes, so that all are aligned as `spec` asks, and to 16 bytes.
 * -EINVAL: together they are larger than any memory.
 */
static inline int allocmark_slab_shape(allocmark_slab *slab, const allocmark_pool_spec *spec, uint64_t least,
                                       allocmark_error *error) {
    const uint64_t alignment = spec->alignment > 16 ? spec->alignment : 16;
    const uint64_t size = spec->object_size > least ? spec->object_size : least;
    uint64_t padded, bytes;
    slab->memory = NULL;
    slab->objects = spec->objects;
    if ((alignment & (alignment - 1)) != 0) {
        allocmark_say(error, "pool '%s': alignment is %" PRIu64 ": it must be a power of two", spec->name,
                      alignment);
        return -EINVAL;
    }
    if (__builtin_add_overflow(size, alignment - 1, &padded) ||
        __builtin_mul_overflow(padded & ~(alignment - 1), spec->objects, &bytes) || bytes > PTRDIFF_MAX / 2) {
        allocmark_say(error, "pool '%s': %" PRIu64 " objects of %" PRIu64 " bytes are no memory", spec->name,
                      spec->objects, spec->object_size);
        return -EINVAL;
    }
    slab->stride = padded & ~(alignment - 1);
    return 0;
}

static inline uint64_t allocmark_slab_bytes(const allocmark_slab *slab) {
    return slab->stride * slab->objects;
}

/** Memory of which every page was written, so that no page fault is left for later; `free` gives it back. */
static inline void *allocmark_written_memory(uint64_t bytes, uint64_t alignment) {
    void *memory = NULL;
    const uint64_t aligned = alignment > ALLOCMARK_SLAB_ALIGNMENT ? alignment : ALLOCMARK_SLAB_ALIGNMENT;
    if (posix_memalign(&memory, aligned, bytes) != 0) return NULL;
    return memset(memory, 0, bytes);
}

static inline int allocmark_slab_make(allocmark_slab *slab, const allocmark_pool_spec *spec, uint64_t least,
                                      allocmark_error *error) {
    const int wrong = allocmark_slab_shape(slab, spec, least, error);
    if (wrong) return wrong;
    slab->memory = (char *)allocmark_written_memory(allocmark_slab_bytes(slab), spec->alignment);
    if (slab->memory != NULL) return 0;
    allocmark_say(error, "pool '%s': out of memory", spec->name);
    return -ENOMEM;
}

static inline void *allocmark_slab_object(const allocmark_slab *slab, uint64_t i) {
    return slab->memory + i * slab->stride;
}

static inline allocmark_region allocmark_slab_region(const allocmark_slab *slab) {
    allocmark_region region = {(uint64_t)(uintptr_t)slab->memory, allocmark_slab_bytes(slab)};
    return region;
}

static inline void allocmark_slab_free(allocmark_slab *slab) {
    free(slab->memory);
}

#endif
