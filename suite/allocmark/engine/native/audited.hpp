// SPDX-License-Identifier: BSD-3-Clause
/**
 * A backend, a pool and a thread inside it, as an audit uses them: every call is checked, and what is wrong
 * is thrown. Destructors call nothing of a backend, which may be broken by then.
 */
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "audit.h"
#include "guarded_array.hpp"
#include "process_memory.hpp"

namespace allocmark::audit {

/** What is wrong with the backend, in one line. */
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/** The backend will not do what every backend must be able to; its own reason. */
struct NotServed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn, gnu::format(printf, 1, 2)]] void fault(const char *format, ...);

/** Runs `work(i)` on n threads of their own and waits for them. Throws the first thing that one of them
 * threw; threads that do not end within a second after that are left behind. */
void on_threads(uint32_t n, const std::function<void(uint32_t)> &work);
/** Runs `work` on a thread of its own. */
inline void in_thread(const std::function<void()> &work) {
    on_threads(1, [&work](uint32_t) { work(); });
}

/** The backend, started. */
class Subject {
  public:
    explicit Subject(const am_audit &audit);
    /** Ends the backend. */
    void finish();

    const am_audit audit;
    const ProcessMemory before; // it was started
    allocmark_backend table;
    std::atomic<uint64_t> calls{0}; // gets and puts that were checked

  private:
    bool started_ = false;
};

/** What a pool is made for. `working_set` 0: all of its objects. */
struct Shape {
    uint64_t object_size, objects;
    uint32_t cache = 0;
    uint64_t working_set = 0;
};

class AuditedPool {
  public:
    AuditedPool(Subject &subject, const Shape &shape);
    void destroy() { subject.table.pool_destroy(handle); }

    /** Whether it counts: an allocator of any size has as many objects as there is memory for. */
    bool counts() const { return !subject.audit.any_size; }
    /** Objects in it: as many as were asked for, or more where `available` says so. */
    uint64_t capacity() const { return capacity_; }
    /** Throws unless `available` says that there are all but `out`. `when`: for the message. */
    void must_count(uint64_t out, const char *when) const;
    /** One of its facts, as a number; false when it has none of that name. */
    bool fact(const char *key, uint64_t &value) const;

    Subject &subject;
    const Shape shape;
    const ProcessMemory before; // it was made
    void *handle = nullptr;

  private:
    uint64_t capacity_ = 0;
};

/** The calling thread inside a pool. */
class Member {
  public:
    Member(AuditedPool &pool, uint32_t slot);
    void leave();

    /** Takes n objects to the end of `held`; false when the pool has too few. */
    bool get(std::vector<void *> &held, uint32_t n);
    /** The same, of a pool that has enough. */
    void must_get(std::vector<void *> &held, uint32_t n);
    /** Gives the oldest n of `held` back. */
    void put(std::vector<void *> &held, uint32_t n);
    /** The same, all of them. */
    void put_all(std::vector<void *> &held);
    /** Takes one object after another until there are no more, which `pool.capacity()` must say too. */
    void take_all(std::vector<void *> &held);

    /** The bare calls, checked: `objects` has room for n. False when the pool has too few. */
    bool get(void **objects, uint32_t n);
    void put(void *const *objects, uint32_t n);

    /** Optional ones, of a backend that has them. */
    void must_get_sized(std::vector<void *> &held, uint32_t n, uint64_t size, bool zeroed);
    void must_resize(Member &to, void *&object);
    void put_at_once();
    uint64_t cached() const { return pool_.subject.table.cached(pool_.handle, local_); }

  private:
    static constexpr uint64_t kTold = 1024;
    void one_more_call();

    AuditedPool &pool_;
    void *local_ = nullptr;
    uint64_t calls_ = 0;
    GuardedArray guarded_;
    ArrayCopy copy_;
};

/** Throws unless all objects are different ones and none overlaps another. Sorts them. */
void must_be_apart(std::vector<void *> objects, uint64_t object_size);

// The checks.
void counting(Subject &subject);
void threads(Subject &subject);
void regions(Subject &subject);
void destroying(Subject &subject);
void contention(Subject &subject);
void one_way(Subject &subject);
void sizes(Subject &subject);
void at_once(Subject &subject);

} // namespace allocmark::audit
