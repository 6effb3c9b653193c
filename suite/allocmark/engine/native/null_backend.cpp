// SPDX-License-Identifier: BSD-3-Clause
/**
 * The floor: hands out preallocated objects in turn and ignores what comes back. What a workload costs on it
 * is the harness, the queues and the touching, not an allocator.
 *
 * Each thread has its own objects, as many as the workload ever has out at once. With fewer, two holders
 * would write the same cache lines, which no real pool makes them do. With more, it would walk through memory
 * that a good pool does not touch.
 */
#include <allocmark/say.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "engine.h"

namespace {

struct NullPool {
    uint64_t stride, alignment, window;
};

struct alignas(128) Local { // a line of its own: the cursor is written in every get
    uint32_t cursor = 0, window = 0;
    std::vector<void *> objects;
    char *memory = nullptr;
    size_t alignment = 0;
    ~Local() { ::operator delete(memory, std::align_val_t(alignment)); }
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

int thread_enter(void *pool, const allocmark_thread *, void **local, allocmark_error *error) {
    const NullPool &spec = *static_cast<NullPool *>(pool);
    auto mine = std::make_unique<Local>();
    mine->alignment = spec.alignment;
    mine->window = uint32_t(spec.window);
    try {
        mine->memory =
            static_cast<char *>(::operator new(spec.stride * spec.window, std::align_val_t(spec.alignment)));
        mine->objects.resize(spec.window);
    } catch (const std::bad_alloc &) {
        allocmark_say(error, "no memory for %" PRIu64 " objects of %" PRIu64 " bytes", spec.window,
                      spec.stride);
        return -ENOMEM;
    }
    std::memset(mine->memory, 0, spec.stride * spec.window); // populated, as a pool would be
    for (uint64_t i = 0; i < spec.window; ++i) mine->objects[i] = mine->memory + i * spec.stride;
    *local = mine.release();
    return 0;
}

void thread_leave(void *, void *local) {
    delete static_cast<Local *>(local);
}

int get_bulk(void *, void *local, void **objects, uint32_t n) {
    Local &mine = *static_cast<Local *>(local);
    if (mine.cursor + n > mine.window) {
        if (n > mine.window) return -ENOENT;
        mine.cursor = 0;
    }
    void *const *next = mine.objects.data() + mine.cursor;
    mine.cursor += n;
    if (n == 1)
        *objects = *next;
    else
        std::memcpy(objects, next, n * sizeof *objects);
    return 0;
}

void put_bulk(void *, void *, void *const *, uint32_t) {}

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
};

} // namespace

extern "C" const void *am_null_table(void) {
    return &kTable;
}
