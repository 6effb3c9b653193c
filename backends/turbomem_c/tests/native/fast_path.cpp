// SPDX-License-Identifier: BSD-3-Clause
/// The functions whose machine code is on record: get and put through a thread's cache and through a pool's
/// handle. With -DPLANTED the first four have in them what a test must find; POLICIES are the pool's.
#include "turbomem/exchange/exchange.hpp"
#include "turbomem/hardened.hpp"
#include "turbomem/pool.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#ifndef POLICIES
#define POLICIES
#endif

using turbomem::cache;
using packets = turbomem::pool<std::array<char, 64> POLICIES>;
using handle = decltype(std::declval<packets &>().enter());
using packet = packets::value_type;

extern "C" {
#ifdef PLANTED
void planted_function();
int planted_counter;
volatile int planted_variable;
thread_local int planted_thread_local;
#define PLANT(what) what
#else
#define PLANT(what) static_cast<void>(0)
#endif

bool cache_get_1(cache &c, void **objects) {
    PLANT(__atomic_fetch_add(&planted_counter, 1, __ATOMIC_RELAXED));
    return c.get_bulk(objects, 1);
}
void cache_put_1(cache &c, void *const *objects) {
    PLANT(planted_function());
    c.put_bulk(objects, 1);
}
bool cache_get_32(cache &c, void **objects) {
    PLANT(++planted_thread_local);
    return c.get_bulk(objects, 32);
}
void cache_put_32(cache &c, void *const *objects) {
    PLANT(planted_variable = 1);
    c.put_bulk(objects, 32);
}
bool cache_get_n(cache &c, void **objects, std::uint32_t n) {
    return c.get_bulk(objects, n);
}
void cache_put_n(cache &c, void *const *objects, std::uint32_t n) {
    c.put_bulk(objects, n);
}

packet *pool_get_1(handle &h) {
    return h.try_allocate();
}
void pool_put_1(handle &h, packet *p) {
    h.deallocate(p);
}
bool pool_get_32(handle &h, packet **p) {
    return h.try_allocate(std::span<packet *, 32>(p, 32));
}
void pool_put_32(handle &h, packet **p) {
    h.deallocate(std::span<packet *const, 32>(p, 32));
}
bool pool_get_n(handle &h, packet **p, std::uint32_t n) {
    return h.try_allocate(std::span<packet *>(p, n));
}
void pool_put_n(handle &h, packet **p, std::uint32_t n) {
    h.deallocate(std::span<packet *const>(p, n));
}
}
