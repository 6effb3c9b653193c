// SPDX-License-Identifier: BSD-3-Clause
/// One cache per CPU, for all threads that run there: two magazines between them and the depot.
#pragma once

#include "turbomem/cpu/rseq.hpp"
#include "turbomem/cpu/sequences.hpp"
#include "turbomem/exchange/depot.hpp"
#include "turbomem/exchange/tagged_stack.hpp"
#include "turbomem/system/barriers.hpp"
#include "turbomem/system/probe.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace turbomem {

/// Any number of threads, and signal handlers: a sequence that a handler interrupts begins anew, and beyond
/// sequences all is lock-free. Only while rseq::unavailable() is null.
///
/// A slow call takes the magazines out of the CPU's cell, works on them as on its own, and brings them to the
/// cell of the CPU that it then runs on, or to the depot if another thread was there first. So a thread that
/// is stopped in a slow call holds back two magazines, and nobody waits for it.
class cpu_caches {
  public:
    /// Throws std::bad_alloc. The depot outlives this.
    explicit cpu_caches(depot &shared)
        : depot_(shared), size_(rseq::possible_cpus()), cells_(std::make_unique<cpu_cell[]>(size_)),
          view_{rseq::offset(), cells_.get(), size_, shared.capacity()} {
        for (std::uint32_t i = 0; i < size_; ++i) cells_[i].shard = i % shared.shards();
    }

    /// Whether a get that finds the depot empty takes what lies in the cells of other CPUs.
    bool reclaims() const noexcept { return barrier_.available(); }
    std::uint32_t cpus() const noexcept { return size_; }
    /// The one that the calling thread ran on a moment ago.
    std::uint32_t cpu() const noexcept {
        const std::uint32_t cpu = cpu_lately(view_);
        return cpu < size_ ? cpu : 0;
    }

    /// One sequence. Unless it is done nothing happened, and get_again() follows, or gather() of n.
    [[gnu::always_inline]] sequence get_at_once(void **objects, std::uint32_t n) noexcept {
        return cpu_get(view_, objects, n);
    }
    /// The same for a put; put_again() follows, or put_slowly().
    [[gnu::always_inline]] sequence put_at_once(void *const *objects, std::uint32_t n) noexcept {
        return cpu_put(view_, objects, n);
    }
    /// As long as sequences are restarted, and patience lasts: whether one is done. `s` is how the first one
    /// ended.
    bool get_again(sequence s, void **objects, std::uint32_t n) noexcept {
        return insist([&] { return cpu_get(view_, objects, n); }, s);
    }
    bool put_again(sequence s, void *const *objects, std::uint32_t n) noexcept {
        return insist([&] { return cpu_put(view_, objects, n); }, s);
    }

    /// Take up to n objects: from the CPU, from the depot, then from other CPUs. Every object is found that
    /// lies in one of them for the whole call. Lock-free.
    std::uint32_t gather(void **objects, std::uint32_t n) noexcept { return visit(*this).gather(objects, n); }
    /// Lock-free.
    void put_slowly(void *const *objects, std::uint32_t n) noexcept { visit(*this).put(objects, n); }

    /// Objects here. Exact while no thread is in a call, else an estimate.
    std::uint64_t objects() const noexcept {
        std::uint64_t n = 0;
        for (std::uint32_t i = 0; i < size_; ++i) {
            // acquire: the magazines as the thread that brought them left them.
            if (magazine *const m = in(cells_[i].top.load(std::memory_order_acquire))) n += held(*m);
        }
        std::uint32_t i = unsettled_.top();
        for (std::uint32_t steps = depot_.magazines(); i != 0 && steps != 0; --steps) {
            n += depot_[i].count;
            i = depot_[i].next.load(std::memory_order_relaxed); // relaxed: as depot::count()
        }
        return n;
    }

    /// A get of n of the calling thread found too few. Wait-free.
    void count_failure([[maybe_unused]] std::uint32_t n) noexcept {
        TURBOMEM_PROBE(exhausted, &depot_, n);
        cells_[cpu()].counters.failed_gets.add(1);
    }
    /// metering::calls: a get took, a put gave n objects. Wait-free.
    void count_get(std::uint32_t n) noexcept {
        depot_counters &to = cells_[cpu()].counters;
        to.gets.add(1);
        to.got.add(n);
    }
    void count_put(std::uint32_t n) noexcept {
        depot_counters &to = cells_[cpu()].counters;
        to.puts.add(1);
        to.put.add(n);
    }

    struct counters {
        depot_counters depot;
        std::uint64_t restarts = 0; ///< sequences that began anew
    };
    /// Since it was made. Exact while no thread is in a call.
    counters count() const noexcept {
        counters sum;
        for (std::uint32_t i = 0; i < size_; ++i) {
            sum.depot += cells_[i].counters;
            sum.restarts += cells_[i].restarts;
        }
        return sum;
    }

  private:
    /// Restarts in a row after which a call goes the slow way, which needs no sequence to end: so a debugger
    /// that steps through one, or a storm of signals, keeps nobody from progress.
    static constexpr int patience = 16;

    /// A slow call. As in an open `cache`: `previous` is full or empty.
    class visit {
      public:
        explicit visit(cpu_caches &of) noexcept
            : of_(of), depot_(of.depot_), cpu_(of.cpu()), cell_(of.cells_[cpu_]) {
            visitor_.thread = cpu_;
            visitor_.shard = visitor_.source = cell_.shard;
            visitor_.victim = cell_.victim.load(std::memory_order_relaxed); // relaxed: a hint
            std::uintptr_t top = cpu_cell::none;
            if (!of_.insist([&] { return cpu_detach(of_.view_, &top); })) return;
            loaded_ = in(top);
            previous_ = of_.behind(*loaded_);
            TURBOMEM_POINT(detached);
        }
        ~visit() {
            TURBOMEM_POINT(attach);
            if (loaded_ != nullptr) {
                // relaxed: the sequence releases it, or the depot does.
                loaded_->next.store(previous_ == nullptr ? 0 : previous_->index, std::memory_order_relaxed);
                const auto top = reinterpret_cast<std::uintptr_t>(loaded_);
                if (!of_.insist([&] { return cpu_attach(of_.view_, top); })) {
                    if (previous_ != nullptr) depot_.give(visitor_, *previous_);
                    depot_.give(visitor_, *loaded_);
                }
            }
            cell_.victim.store(visitor_.victim, std::memory_order_relaxed); // relaxed: a hint
            cell_.counters.add(visitor_.counters);
        }
        visit(const visit &) = delete;
        visit &operator=(const visit &) = delete;

        std::uint32_t gather(void **objects, std::uint32_t n) noexcept {
            void **const first = objects;
            take(objects, n);
            if (n != 0 && previous_ != nullptr && previous_->count != 0) {
                std::swap(loaded_, previous_);
                take(objects, n);
            }
            if (n == 0) return static_cast<std::uint32_t>(objects - first);
            TURBOMEM_PROBE(refill, &depot_, n);
            take_from_depot(objects, n);
            // Not enough: look everywhere, until nothing moved meanwhile.
            for (std::uint64_t before = 0, now = 1; n != 0 && before != now; now = depot_.changes()) {
                before = depot_.changes();
                do take_from_depot(objects, n);
                while (n != 0 && of_.reclaim(visitor_, n));
            }
            if (n != 0 || depot_.lowest().due()) depot_.lowest().note(depot_.held() + of_.objects() + held());
            if (n == 0) visitor_.counters.get_misses += 1;
            return static_cast<std::uint32_t>(objects - first);
        }

        void put(void *const *objects, std::uint32_t n) noexcept {
            if (previous_ != nullptr && previous_->count != 0) visitor_.counters.put_misses += 1;
            while (n != 0) {
                if ((loaded_ == nullptr || loaded_->count == depot_.capacity()) && !make_room()) {
                    for (; n != 0; --n) depot_.put_loose(*objects++);
                    return;
                }
                const std::uint32_t k = std::min(n, depot_.capacity() - loaded_->count);
                copy_objects(loaded_->slots() + loaded_->count, objects, k);
                loaded_->count += k;
                objects += k;
                n -= k;
            }
        }

      private:
        std::uint64_t held() const noexcept {
            std::uint64_t n = loaded_ == nullptr ? 0 : std::uint32_t{loaded_->count};
            if (previous_ != nullptr) n += previous_->count;
            return n;
        }

        void take(void **&objects, std::uint32_t &n) noexcept {
            if (loaded_ == nullptr) return;
            const std::uint32_t k = std::min<std::uint32_t>(n, loaded_->count);
            loaded_->count -= k;
            copy_objects(objects, loaded_->slots() + loaded_->count, k);
            objects += k;
            n -= k;
        }

        /// Both magazines are empty if anything is still wanted.
        void take_from_depot(void **&objects, std::uint32_t &n) noexcept {
            while (n != 0) {
                if (magazine *m = depot_.pop_filled(visitor_)) {
                    if (loaded_ != nullptr) depot_.push_empty(visitor_, *loaded_);
                    if (m->user != visitor_.thread) expect_reads(*m, m->count);
                    loaded_ = m;
                    take(objects, n);
                } else if (void *object = depot_.get_loose()) {
                    *objects++ = object;
                    --n;
                } else {
                    return;
                }
            }
        }

        /// Load a magazine that is not full: false when there is none to be had. The loaded one is full, or
        /// there is none.
        bool make_room() noexcept {
            const bool full_behind = previous_ != nullptr && previous_->count != 0;
            magazine *empty = full_behind ? nullptr : previous_;
            if (empty == nullptr) empty = depot_.pop_empty(visitor_);
            if (empty == nullptr) return false;
            if (empty->user != visitor_.thread) expect_writes(*empty, depot_.capacity());
            if (full_behind) {
                TURBOMEM_PROBE(flush, &depot_, depot_.capacity());
                depot_.push_full(visitor_, *previous_);
            }
            previous_ = loaded_;
            empty->count = 0;
            loaded_ = empty;
            return true;
        }

        cpu_caches &of_;
        depot &depot_;
        std::uint32_t cpu_;
        cpu_cell &cell_;
        depot_visitor visitor_;
        magazine *loaded_ = nullptr, *previous_ = nullptr;
    };

    /// Whether the sequence ended well, before patience did; `s` is how it ended the first time.
    template <class Sequence> bool insist(Sequence run, sequence s) noexcept {
        for (int i = 1; s == sequence::restarted; ++i) {
            cells_[cpu()].restarts.add(1);
            if (i == patience) return false;
            s = run();
        }
        return s == sequence::done;
    }
    template <class Sequence> bool insist(Sequence run) noexcept { return insist(run, run()); }

    static magazine *in(std::uintptr_t top) noexcept {
        return (top & cpu_cell::none) != 0 ? nullptr : reinterpret_cast<magazine *>(top);
    }
    magazine *behind(const magazine &m) const noexcept {
        // relaxed: comes with the magazine.
        const std::uint32_t index = m.next.load(std::memory_order_relaxed);
        return index == 0 ? nullptr : &depot_[index];
    }
    /// Objects in a magazine and in the one behind it; a guess while others work on them.
    std::uint64_t held(magazine &m) const noexcept {
        magazine *const previous = behind(m);
        return std::uint64_t{m.count} + (previous == nullptr ? 0 : std::uint64_t{previous->count});
    }

    /// Bring the magazines of some CPUs, n objects if that many are found, to the depot; false when there
    /// were none. What it has taken out of a cell it touches only behind the barrier; when the kernel refuses
    /// that it waits, unsettled, for the next one who comes here.
    bool reclaim(depot_visitor &v, std::uint32_t n) noexcept {
        if (!barrier_.available()) return false;
        std::array<magazine *, 32> taken;
        std::uint32_t magazines = 0, caches = 0;
        std::uint64_t found = 0;
        while (magazines != taken.size()) {
            const std::uint32_t i = unsettled_.pop(depot_);
            if (i == 0) break;
            taken[magazines++] = &depot_[i];
        }
        for (std::uint32_t cpu = 0; cpu < size_ && found < n && magazines + 2 <= taken.size(); ++cpu) {
            std::atomic<std::uintptr_t> &top = cells_[cpu].top;
            // acquire: the link and the counts of what was brought there.
            std::uintptr_t seen = top.load(std::memory_order_acquire);
            magazine *const m = in(seen);
            const std::uint64_t has = m == nullptr ? 0 : held(*m);
            if (has == 0) continue;
            TURBOMEM_POINT(reclaim);
            // acquire: as above, for what may have come there since. relaxed on failure: nothing was
            // obtained.
            if (!top.compare_exchange_strong(seen, cpu_cell::none, std::memory_order_acquire,
                                             std::memory_order_relaxed))
                continue;
            // Only whoever took the magazines out changes the link.
            magazine *const previous = behind(*m);
            taken[magazines++] = m;
            if (previous != nullptr) taken[magazines++] = previous;
            found += has;
            ++caches;
        }
        if (magazines == 0) return false;
        const bool settled = barrier_();
        TURBOMEM_POINT(settled);
        for (std::uint32_t i = 0; i < magazines; ++i) {
            if (settled)
                depot_.give(v, *taken[i]);
            else
                unsettled_.push(depot_, taken[i]->index);
        }
        v.counters.reclaims += settled ? caches : 0;
        return settled;
    }

    depot &depot_;
    std::uint32_t size_;
    std::unique_ptr<cpu_cell[]> cells_;
    cpu_cells view_;
    rseq::barrier barrier_;
    tagged_stack unsettled_; ///< taken out of cells, but others may still be about to store their counts
};

} // namespace turbomem
