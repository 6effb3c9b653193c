// SPDX-License-Identifier: BSD-3-Clause
/// What a program and its plugins know of each other. Each is a shared object of its own, with everything but
/// plugin() hidden, and each has TurboMem's code in it.
#pragma once

#include "turbomem/turbomem.hpp"

#include <cstddef>
#include <memory>

#ifndef THREADS
#define THREADS per_thread
#endif

using turbomem::threads::THREADS;

#ifdef CHECKED
using check = turbomem::checking::checked<>;
#else
using check = turbomem::checking::none;
#endif

#ifdef CLASSES
using shared_pool = turbomem::size_classes<THREADS, check>;
inline std::unique_ptr<shared_pool> make(std::size_t size, std::size_t objects) {
    return std::make_unique<shared_pool>(
        std::vector<turbomem::size_class>{{size, objects}},
        turbomem::pool_options{.magazine = 8, .pages = {.kind = turbomem::page_kind::base}});
}
inline void *get(shared_pool &p) {
    return p.try_allocate(p.largest());
}
inline void put(shared_pool &p, void *object) {
    p.deallocate(object, p.largest());
}
inline bool owns(shared_pool &p, void *object) {
    return p.owns(object, p.largest());
}
inline std::uint64_t left(shared_pool &p) {
    return p.of(p.largest()).available();
}
inline std::uint64_t cached(shared_pool &p) {
    return p.of(p.largest()).statistics().cached;
}
#else
using shared_pool = turbomem::pool<void, THREADS, check>;
inline std::unique_ptr<shared_pool> make(std::size_t size, std::size_t objects) {
    return std::make_unique<shared_pool>(
        turbomem::pool_options{.object_size = size,
                               .objects = objects,
                               .magazine = 8,
                               .pages = {.kind = turbomem::page_kind::base}});
}
inline void *get(shared_pool &p) {
    return p.try_allocate();
}
inline void put(shared_pool &p, void *object) {
    p.deallocate(object);
}
inline bool owns(shared_pool &p, void *object) {
    return p.owns(object);
}
inline std::uint64_t left(shared_pool &p) {
    return p.available();
}
inline std::uint64_t cached(shared_pool &p) {
    return p.statistics().cached;
}
#endif

/// The functions above, as compiled into one shared object.
struct calls {
    shared_pool *(*open)(std::size_t size, std::size_t objects);
    void (*close)(shared_pool *);
    void *(*get)(shared_pool *);
    void (*put)(shared_pool *, void *);
};
inline const calls these_calls{
    [](std::size_t size, std::size_t objects) { return make(size, objects).release(); },
    [](shared_pool *p) { delete p; },
    [](shared_pool *p) { return get(*p); },
    [](shared_pool *p, void *object) { put(*p, object); },
};
