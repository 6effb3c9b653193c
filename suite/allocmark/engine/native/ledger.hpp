// SPDX-License-Identifier: BSD-3-Clause
/** The verifying mode's book of every object that is out of its pool. */
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "engine.h"

namespace allocmark {

/** Who does what to an object, for messages. */
struct Where {
    int32_t actor;
    uint32_t pool;
    uint32_t step;
};

/** A trouble with an object, in which nothing else is known. */
am_trouble trouble_of(am_trouble_kind kind, const Where &where, uintptr_t object);

/**
 * Objects that are out, by address, each filled with a stamp of its own. The book is behind a mutex; the
 * backend is never called while it is held, so gets and puts still race as in a measured run.
 */
class Ledger {
  public:
    struct Book {
        uint64_t object_size;
        uint64_t alignment; // 0: none asked
        std::vector<allocmark_region> regions;
    };

    /** The regions may be many, in any order, and overlap. */
    explicit Ledger(std::vector<Book> pools);

    /** Just handed out: checks all there is to check, and stamps. False with `trouble` filled when wrong. */
    bool out(const Where &where, void *const *objects, uint32_t n, am_trouble &trouble);

    /** Still held, now by where.actor: the stamp must be whole. */
    bool check(const Where &where, void *const *objects, uint32_t n, am_trouble &trouble);

    /** About to be put back: checks, then forgets. */
    bool back(const Where &where, void *const *objects, uint32_t n, am_trouble &trouble);

  private:
    struct Entry {
        uint64_t stamp;
        Where holder;
    };
    /** Whether a whole object lies inside one of the regions. */
    static bool inside(const Book &pool, uintptr_t object);
    bool stamp_is_whole(uintptr_t object, const Entry &entry, const Where &where, am_trouble &trouble) const;

    std::mutex mutex_;
    std::map<uintptr_t, Entry> out_; // ordered: neighbours tell overlaps
    uint64_t stamps_ = 0;
    std::vector<Book> pools_; // their regions in order, none overlaps another
};

} // namespace allocmark
