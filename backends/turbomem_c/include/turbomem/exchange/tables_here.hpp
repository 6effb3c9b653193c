// SPDX-License-Identifier: BSD-3-Clause
/// Which tables of threads have to be put right in a child of fork.
#pragma once

#include "turbomem/exchange/owner_table.hpp"
#include "turbomem/system/here.hpp"
#include "turbomem/system/threads.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdint>

namespace turbomem::detail {

/// The tables that threads are in by calls from this shared object, which stays mapped for as long as they
/// are. That the one which made a table may be unloaded sooner, and its fork handler with it, is of no
/// consequence. Lock-free but for memory, so that a child of fork finds it whole.
class tables_here {
  public:
    /// Of one thread and one table.
    struct place {
        tables_here &list;
        std::atomic<owner_table *> table; ///< null: free
        place *next = nullptr;

        /// The thread is not in the table any more, which may end now.
        void free() noexcept {
            list.free_.fetch_add(1, std::memory_order_relaxed); // relaxed: a hint
            // Last, since the list may end then. release: a fork sees it after the thread left.
            table.store(nullptr, std::memory_order_release);
        }
    };

    tables_here() {
        // Without memory for the handler a child of fork takes its dead threads for living ones.
        ::pthread_atfork(nullptr, nullptr, [] { here<tables_here>().forked(); });
    }
    tables_here(const tables_here &) = delete;
    tables_here &operator=(const tables_here &) = delete;
    /// While it is idle, and no thread is about to come.
    ~tables_here() {
        for (place *p = first_, *next; p != nullptr; p = next) {
            next = p->next;
            delete p;
        }
    }
    bool idle() noexcept {
        bool any = false;
        for_each([&](owner_table &) { any = true; });
        return !any;
    }

    /// Before the calling thread is in the table, which outlives the place. Throws std::bad_alloc.
    place &add(owner_table &table) {
        // relaxed: only to save the search while none is free.
        if (free_.load(std::memory_order_relaxed) != 0) {
            // acquire: the links of those that other threads added.
            for (place *p = first_.load(std::memory_order_acquire); p != nullptr; p = p->next) {
                owner_table *none = nullptr;
                if (!p->table.compare_exchange_strong(none, &table)) continue;
                free_.fetch_sub(1, std::memory_order_relaxed); // relaxed: a hint
                return *p;
            }
        }
        auto *const p = new place{*this, &table};
        p->next = first_.load(std::memory_order_relaxed); // relaxed: nothing is read through it
        // release: whoever finds it finds what is in it.
        while (
            !first_.compare_exchange_weak(p->next, p, std::memory_order_release, std::memory_order_relaxed)) {
        }
        return *p;
    }

  private:
    template <class Visit> void for_each(Visit visit) noexcept {
        // acquire, both: what the threads that added them wrote.
        for (place *p = first_.load(std::memory_order_acquire); p != nullptr; p = p->next) {
            if (owner_table *const t = p->table.load(std::memory_order_acquire)) visit(*t);
        }
    }
    void forked() noexcept {
        // Most are here for several threads, and looked through once.
        for_each([](owner_table &t) { t.lose_others(); });
        for_each([self = this_thread()](owner_table &t) { t.forget_lost(self); });
    }

    std::atomic<place *> first_{nullptr};
    std::atomic<std::uint32_t> free_{0}; ///< places, about
};

} // namespace turbomem::detail
