// SPDX-License-Identifier: BSD-3-Clause
/**
 * The floor: hands out preallocated objects in turn and ignores what comes back. What a workload costs on it
 * is the harness, the queues and the touching, not an allocator.
 *
 * It is meant to be below every backend in every workload, or net figures would be negative. So it does only
 * what no backend can leave out: it copies pointers, by the way that is fastest for as many. And its own
 * state lies in the actor's arena, where nothing evicts it.
 *
 * Each thread has its own objects, as many as the workload ever has out at once. With fewer, two holders
 * would write the same cache lines, which no real pool makes them do. With more, it would walk through memory
 * that a good pool does not touch.
 */
#include <allocmark/say.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "arena.hpp"
#include "copy.hpp"
#include "engine.h"

using allocmark::Arena;

namespace {

struct Local {
    uint32_t cursor, window;
    void **objects;
};

struct NullPool {
    uint64_t stride, alignment, window;
};

int init(const allocmark_init *, allocmark_error *) {
    return 0;
}

int pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *) {
    const uint64_t alignment = std::max<uint64_t>(spec->alignment, 64);
    const uint64_t stride = (spec->object_size + alignment - 1) / alignment * alignment;
    *pool = new NullPool{stride, alignment, std::max<uint64_t>(spec->working_set, 1)};
    return 0;
}

void pool_destroy(void *pool) {
    delete static_cast<NullPool *>(pool);
}

Local *local_of(const NullPool &spec, Arena &arena) {
    Local *const mine = arena.make<Local>("floor", 0);
    mine->window = uint32_t(spec.window);
    mine->objects = arena.array<void *>("floor's pointers", spec.window).data();
    char *const objects = arena.take("floor's objects", 0, spec.stride * spec.window, spec.alignment);
    std::memset(objects, 0, spec.stride * spec.window); // populated, as a pool would be
    for (uint64_t i = 0; i < spec.window; ++i) mine->objects[i] = objects + i * spec.stride;
    return mine;
}

int thread_enter(void *pool, const allocmark_thread *, void **local, allocmark_error *error) try {
    Arena &arena = *Arena::mine;
    *local = arena.kept(pool, [&] { return local_of(*static_cast<const NullPool *>(pool), arena); });
    return 0;
} catch (const std::bad_alloc &) {
    const NullPool &spec = *static_cast<NullPool *>(pool);
    allocmark_say(error, "no memory for %" PRIu64 " objects of %" PRIu64 " bytes", spec.window, spec.stride);
    return -ENOMEM;
}

void thread_leave(void *, void *) {} // the arena keeps the memory

int get_bulk(void *, void *local, void **objects, uint32_t n) {
    Local &mine = *static_cast<Local *>(local);
    uint32_t cursor = mine.cursor;
    if (cursor + n > mine.window) [[unlikely]] {
        if (n > mine.window) return -ENOENT;
        cursor = 0;
    }
    mine.cursor = cursor + n;
    allocmark::copy(objects, mine.objects + cursor, n);
    return 0;
}

void put_bulk(void *, void *, void *const *, uint32_t) {}
void put_all(void *, void *) {}

// To ask for a size or for zeros, and to keep what an object had, is the allocator's work.
int get_sized(void *pool, void *local, void **objects, uint32_t n, uint64_t, uint32_t) {
    return get_bulk(pool, local, objects, n);
}

int resize(void *, void *, void *to, void *to_local, void **object) {
    return get_bulk(to, to_local, object, 1);
}

const allocmark_backend kTable = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = init,
    .pool_create = pool_create,
    .pool_destroy = pool_destroy,
    .thread_enter = thread_enter,
    .thread_leave = thread_leave,
    .get_bulk = get_bulk,
    .put_bulk = put_bulk,
    .fini = nullptr,
    .available = nullptr,
    .regions = nullptr,
    .facts = nullptr,
    .trips = nullptr,
    .cached = nullptr,
    .calls = nullptr,
    .get_sized = get_sized,
    .resize = resize,
    .any_size = nullptr,
    .put_all = put_all,
};

} // namespace

extern "C" const void *am_null_table(void) {
    return &kTable;
}
