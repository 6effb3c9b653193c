// SPDX-License-Identifier: BSD-3-Clause
/// A threading policy: every CPU has a cache, and a call works on that of the CPU it runs on.
#pragma once

#include "turbomem/cpu/cpu_caches.hpp"
#include "turbomem/cpu/rseq.hpp"
#include "turbomem/exchange/exchange.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/policies.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace turbomem::threads {

/// No handle, no slot, and what is cached grows with the CPUs, not with the threads: for programs with many
/// more threads than CPUs, or with threads that come and go.
///
/// Needs restartable sequences and Linux 5.10; where those lack, where the pool has sub-pools on several NUMA
/// nodes, and where nothing is to be cached, it is per_thread in all respects, and fallback() says why.
///
/// - A get or put that the CPU's magazine can serve is one sequence: plain loads and stores, begun anew when
///   the thread is preempted, migrated or interrupted. After 16 restarts in a row it goes the slow way.
/// - The slow way, by way of the depot, is lock-free, and so is the whole: no thread waits for another, also
///   when that is stopped or dead. What a thread has in its hands in the middle of a slow call others miss as
///   long as it is there, and for good when it dies: the objects of the call and two magazines, and while it
///   looks into the caches of other CPUs what up to 16 of them held.
/// - A get fails only after it has looked into the caches of all CPUs and slots. It takes every object that
///   lies in one of them, or in the depot, for the whole call; one that another call moves meanwhile it may
///   miss, and a get that fails has others miss what it had collected until it has given that back.
/// - Async-signal-safe, except as per_thread.
struct per_cpu {
    using family = policy::threading;
    /// Slots of a pool whose options do not say: as per_thread, which it may have to be.
    static std::uint32_t default_threads() noexcept { return per_thread::default_threads(); }

    template <class Exchange> class route {
      public:
        template <class... Args>
        explicit route(const exchange_options &options, Args &&...args)
            : threads_(with_magazines(options), std::forward<Args>(args)...), fallback_(obstacle()) {
            if (fallback_ != nullptr) return;
            caches_.emplace(exchange().on(0).shared());
            if (caches_->reclaims()) return;
            caches_.reset();
            fallback_ = "the kernel cannot restart sequences of other CPUs: Linux can since 5.10";
        }

        Exchange &exchange() noexcept { return threads_.exchange(); }
        const Exchange &exchange() const noexcept { return threads_.exchange(); }
        route &source() noexcept { return *this; }

        // Always inlined, as copy_objects() is.
        [[gnu::always_inline]] bool get_bulk(void **objects, std::uint32_t n) noexcept {
            sequence s = sequence::refused;
            if (caches_) [[likely]]
                s = caches_->get_at_once(objects, n);
            return s == sequence::done || get_otherwise(s, objects, n);
        }
        [[gnu::always_inline]] void put_bulk(void *const *objects, std::uint32_t n) noexcept {
            sequence s = sequence::refused;
            if (caches_) [[likely]]
                s = caches_->put_at_once(objects, n);
            if (s != sequence::done) [[unlikely]]
                put_otherwise(s, objects, n);
        }
        std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
            if (!caches_) return threads_.get_up_to(objects, n);
            const sequence s = caches_->get_at_once(objects, n);
            return caches_->get_again(s, objects, n) ? n : gather(objects, n);
        }

        /// metering::calls: a get took, a put gave n objects.
        void count_get(std::uint32_t n) noexcept { caches_ ? caches_->count_get(n) : threads_.count_get(n); }
        void count_put(std::uint32_t n) noexcept { caches_ ? caches_->count_put(n) : threads_.count_put(n); }

        void bury() noexcept { threads_.bury(); }
        /// As per_thread's; nothing to do where CPUs have the caches.
        void detach() noexcept { threads_.detach(); }

        /// Why calls go the way of per_thread, one line for a person; null: they do not.
        const char *fallback() const noexcept { return fallback_; }

        /// Objects that are in no slot's cache and not in the depot. Exact while no thread is in a call.
        std::uint64_t objects() const noexcept { return caches_ ? caches_->objects() : 0; }
        std::uint32_t cpus() const noexcept { return caches_ ? caches_->cpus() : 0; }
        cpu_caches::counters counters() const noexcept {
            return caches_ ? caches_->count() : cpu_caches::counters{};
        }

      private:
        /// Each CPU has two magazines; the depot provides more than that a slot. So there may be more slots
        /// than were asked for.
        static exchange_options with_magazines(exchange_options o) {
            if (rseq::unavailable() == nullptr && o.caching && o.max_threads != 0)
                o.max_threads = std::max(o.max_threads, rseq::possible_cpus());
            return o;
        }

        const char *obstacle() const noexcept {
            if (const char *why = rseq::unavailable()) return why;
            if (exchange().nodes() > 1) return "the pool lies on several NUMA nodes";
            if (!exchange().on(0).options().caching) return "nothing is to be cached";
            return nullptr;
        }

        std::uint32_t gather(void **objects, std::uint32_t n) noexcept {
            std::uint32_t got = caches_->gather(objects, n);
            // In the caches of threads that entered a slot.
            if (got != n) got += exchange().get_up_to(objects + got, n - got, caches_->cpu());
            return got;
        }
        // Apart, so that calls which are one sequence save no registers.
        [[gnu::noinline]] bool get_otherwise(sequence s, void **objects, std::uint32_t n) noexcept {
            if (!caches_) return threads_.get_bulk(objects, n);
            if (caches_->get_again(s, objects, n)) return true;
            if (n > exchange().options().objects) {
                caches_->count_failure(n);
                return false;
            }
            const std::uint32_t got = gather(objects, n);
            if (got == n) return true;
            caches_->put_slowly(objects, got);
            caches_->count_failure(n);
            return false;
        }
        [[gnu::noinline]] void put_otherwise(sequence s, void *const *objects, std::uint32_t n) noexcept {
            if (!caches_) return threads_.put_bulk(objects, n);
            if (!caches_->put_again(s, objects, n)) caches_->put_slowly(objects, n);
        }

        typename per_thread::template route<Exchange> threads_;
        std::optional<cpu_caches> caches_;
        const char *fallback_;
    };
};

} // namespace turbomem::threads
