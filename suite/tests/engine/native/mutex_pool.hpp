// SPDX-License-Identifier: BSD-3-Clause
/// A small correct pool behind a mutex, which counts how the engine treats it and fails on demand.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "allocmark/backend.h"
#include "check.hpp"

namespace mutex_pool {

/// What was called how often, and what is to fail.
struct Book {
    std::atomic<int> inits{0}, finis{0}, pools{0}, created{0}, entered{0};
    std::atomic<bool> fail_init{false}, fail_enter_silently{false};
    std::atomic<int> fail_pool{-1}, fail_slot{-1}; // which one; -1: none
    std::atomic<bool> double_next{false}, lose_next{false};
    std::vector<std::string> names, destroyed; // pools', in the order of the calls
};
inline Book book;

struct Pool {
    std::string name;
    std::mutex mutex;
    std::unique_ptr<char[]> memory;
    uint64_t bytes;
    std::vector<void *> free;
    void *latest = nullptr;
    std::atomic<int> inside{0};
};

inline int init(const allocmark_init *, allocmark_error *error) {
    if (book.fail_init) {
        std::snprintf(error->message, sizeof error->message, "the licence has run out");
        return -EPERM;
    }
    ++book.inits;
    return 0;
}

inline void fini() {
    CHECK(book.inits - ++book.finis >= 0);
}

inline int pool_create(const allocmark_pool_spec *spec, void **out, allocmark_error *) {
    if (book.created++ == book.fail_pool) {
        *out = &book; // what is not a pool must not be destroyed
        return -ENOMEM;
    }
    auto pool = std::make_unique<Pool>();
    book.names.push_back(pool->name = spec->name);
    pool->bytes = spec->object_size * spec->objects;
    pool->memory = std::make_unique<char[]>(pool->bytes);
    for (uint64_t i = 0; i < spec->objects; ++i) pool->free.push_back(&pool->memory[i * spec->object_size]);
    *out = pool.release();
    ++book.pools;
    return 0;
}

inline void pool_destroy(void *handle) {
    const std::unique_ptr<Pool> pool(static_cast<Pool *>(handle));
    CHECK(pool->inside == 0); // every thread has left
    CHECK(book.finis < book.inits);
    book.destroyed.push_back(pool->name);
    --book.pools;
}

inline int thread_enter(void *handle, const allocmark_thread *thread, void **local, allocmark_error *) {
    if (book.fail_enter_silently || int(thread->slot) == book.fail_slot) return -EAGAIN;
    ++static_cast<Pool *>(handle)->inside;
    ++book.entered;
    *local = handle;
    return 0;
}

inline void thread_leave(void *handle, void *local) {
    CHECK(handle == local);
    --static_cast<Pool *>(handle)->inside;
    --book.entered;
}

inline int get_bulk(void *handle, void *local, void **objects, uint32_t n) {
    CHECK(handle == local);
    auto &pool = *static_cast<Pool *>(handle);
    const std::lock_guard lock(pool.mutex);
    if (pool.free.size() < n) return -ENOENT;
    for (uint32_t i = 0; i < n; ++i) {
        objects[i] = pool.free.back();
        pool.free.pop_back();
    }
    if (pool.latest && book.double_next.exchange(false)) objects[0] = pool.latest;
    pool.latest = objects[0];
    return 0;
}

inline void put_bulk(void *handle, void *local, void *const *objects, uint32_t n) {
    CHECK(handle == local);
    auto &pool = *static_cast<Pool *>(handle);
    const std::lock_guard lock(pool.mutex);
    if (book.lose_next.exchange(false)) --n;
    pool.free.insert(pool.free.end(), objects, objects + n);
}

inline uint64_t available(void *handle) {
    return static_cast<Pool *>(handle)->free.size();
}

inline uint32_t regions(void *handle, allocmark_region *regions, uint32_t capacity) {
    const auto &pool = *static_cast<Pool *>(handle);
    if (capacity > 0) regions[0] = {reinterpret_cast<uintptr_t>(pool.memory.get()), pool.bytes};
    return 1;
}

inline void facts(void *pool, allocmark_fact_fn emit, void *context) {
    emit(context, "about", pool ? "a pool" : "the\nprocess");
}

inline const allocmark_backend table = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = init,
    .pool_create = pool_create,
    .pool_destroy = pool_destroy,
    .thread_enter = thread_enter,
    .thread_leave = thread_leave,
    .get_bulk = get_bulk,
    .put_bulk = put_bulk,
    .fini = fini,
    .available = available,
    .regions = regions,
    .facts = facts,
    .trips = nullptr,
    .cached = nullptr,
};

} // namespace mutex_pool
