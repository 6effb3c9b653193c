// SPDX-License-Identifier: BSD-3-Clause
/// A pool of objects of one type or of one size, put together from policies.
#pragma once

#include "turbomem/checking.hpp"
#include "turbomem/exchange/cache_session.hpp"
#include "turbomem/exchange/records.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/metering.hpp"
#include "turbomem/name.hpp"
#include "turbomem/numa.hpp"
#include "turbomem/operations.hpp"
#include "turbomem/options.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/slots.hpp"
#include "turbomem/system/instrument.hpp"
#include "turbomem/system/probe.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace turbomem {

/// A look at a pool, in plain numbers. Exact while no thread is in a call, else an estimate. What is counted
/// is since the pool was made, of all threads.
struct pool_statistics {
    pool_name name;              ///< as its options have it
    std::uint64_t objects = 0;   ///< that the pool has
    std::uint64_t available = 0; ///< of these, in the pool: in depots or in caches
    std::uint64_t in_use = 0;    ///< of these, not in the pool
    /// The fewest that were seen available, see low_water. With several nodes the sum of theirs, which need
    /// not have been at the same time; with per_cpu, threads that entered do not see what CPUs cache.
    std::uint64_t least_available = 0;
    std::uint64_t cached = 0;        ///< of these, in caches
    std::uint64_t object_stride = 0; ///< bytes from one object to the next
    std::uint64_t region_bytes = 0;  ///< memory that the objects lie in, whole pages
    std::uint64_t magazine = 0;      ///< objects in a magazine
    std::uint64_t magazines = 0;     ///< of the pool
    std::uint64_t cache_limit = 0;   ///< most objects one thread (or CPU) keeps between its calls
    std::uint64_t exchanges = 0;     ///< magazines that threads took from a depot so far
    std::uint64_t steals = 0;        ///< of these, from another slot's shard
    std::uint64_t reclaims = 0;      ///< caches that a get emptied because the depot had too few
    std::uint64_t get_misses = 0;    ///< gets for which the cache had too few: they went to the depot
    std::uint64_t put_misses = 0;    ///< puts for which the cache had no room: a magazine went to the depot
    std::uint64_t failed_gets = 0;   ///< bulks that found too few objects anywhere
    std::uint64_t guest_calls = 0;   ///< calls without a slot: more of max_threads would make them faster
    std::uint64_t nodes = 0;         ///< sub-pools, one per NUMA node
    std::uint64_t fallback_gets = 0; ///< objects got from another node than the thread's
    std::uint64_t foreign_puts = 0;  ///< objects sent home to another node than the thread's
    std::uint64_t cpus = 0;          ///< that have a cache; 0: threads have them
    std::uint64_t restarts = 0;      ///< calls that began anew because the thread was interrupted in them
    std::uint64_t gets = 0;          ///< metering::calls: gets that took something, else 0
    std::uint64_t got = 0;           ///< objects in these
    std::uint64_t puts = 0;          ///< metering::calls: puts, else 0
    std::uint64_t put = 0;           ///< objects in these

    /// metering::calls: of the gets and puts, those that the cache served.
    std::uint64_t get_hits() const noexcept { return gets - std::min(gets, get_misses); }
    std::uint64_t put_hits() const noexcept { return puts - std::min(puts, put_misses); }
    /// metering::calls: objects per get and per put.
    double get_burst() const noexcept { return average(got, gets); }
    double put_burst() const noexcept { return average(put, puts); }

  private:
    static double average(std::uint64_t objects, std::uint64_t calls) noexcept {
        return calls == 0 ? 0 : static_cast<double>(objects) / static_cast<double>(calls);
    }
};

/// A pool of `objects` Ts in one region of memory, shared by threads without a lock.
///
///     turbomem::pool<packet> packets({.objects = 65'535});                     // throws turbomem::error
///     auto mine = packets.enter();                                            // once per thread
///     packet *p = mine.try_create(length);                                    // or null
///     mine.destroy(p);
///
///     turbomem::pool<packet, threads::per_thread> packets({.objects = 65'535, .pages = {.require = true}});
///     auto p = packets.make(length);                                          // a std::unique_ptr
///
/// T is an object type, or void for objects of `pool_options::object_size` bytes. Policies follow in any
/// order; defaults: threads::slots, numa::any_node, checking::none.
///
/// All operations of `operations` are the pool's, too; which cache they use is up to the threading policy.
///
/// Create and destroy with no other thread about; every object is back and every handle gone before it is
/// destroyed. Everything else runs concurrently. No call waits for another thread: get and put are wait-free
/// within a thread's cache and lock-free beyond.
///
/// A child of fork has a copy of the pool, and of its objects where the memory is inherited. Slots that other
/// threads entered by handles stay in use there, and what they cached is found; caches that per_thread gave
/// them are given up.
template <class T, class... Policies>
class pool : public operations<pool<T, Policies...>, T,
                               policy_of<policy::checking, checking::none, Policies...>::enabled> {
    static_assert(detail::sound<Policies...>());
    static_assert(std::is_void_v<T> || (std::is_object_v<T> && std::is_nothrow_destructible_v<T>),
                  "a pool holds objects whose destructor does not throw, or is a pool<void>");
    static_assert(!std::is_const_v<T> && !std::is_volatile_v<T>, "a pool of T gives out T *, not cv T *");

  public:
    using value_type = T;
    using threading_policy = policy_of<policy::threading, threads::slots, Policies...>;
    using numa_policy = policy_of<policy::placement, numa::any_node, Policies...>;
    using checking_policy = policy_of<policy::checking, checking::none, Policies...>;
    using metering_policy = policy_of<policy::metering, metering::none, Policies...>;
    static constexpr bool checked = checking_policy::enabled;
    static constexpr bool hardened = checking_policy::hardens;
    static constexpr bool counted = metering_policy::enabled;
    /// What a thread that entered works through.
    using cache_type = typename numa_policy::exchange_type::cache_type;
    /// Sessions are for pools that do not check, and of one node.
    static constexpr bool has_sessions = !checked && std::is_same_v<cache_type, turbomem::cache>;
    /// Empty unless the pool is checked.
    using lease = typename checking_policy::lease;

    /// How a call on the pool itself reaches the exchange.
    using route = typename threading_policy::template route<typename numa_policy::exchange_type>;
    /// Whether caches are to be of CPUs rather than of threads.
    static constexpr bool by_cpu = requires(const route &r) { r.fallback(); };

    /// Throws invalid_options, out_of_memory, unmet_requirement, or error with the kernel's errno; nothing
    /// stays behind.
    explicit pool(const pool_options &options) : pool(options, pool_name(options.name)) {}

    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;

    /// checking::leaks: reports objects that are out, unless the stack is being unwound.
    ~pool() {
        TURBOMEM_PROBE(pool_destroy, name_.text(), options_.objects);
        if constexpr (checked) {
            if (std::uncaught_exceptions() == 0) report_leaks();
        }
    }

    /// What a thread works through: a slot, and the cache in it. Leaves when it goes out of scope, on the
    /// thread that entered. All operations of `operations` are its own. Not to be used after the pool is
    /// gone, which checked pools find.
    class local : public operations<local, T, checked> {
      public:
        static constexpr bool hardened = pool::hardened, counted = pool::counted;

        local(local &&other) noexcept
            : pool_(other.pool_), cache_(std::exchange(other.cache_, nullptr)), lease_(other.lease_) {}
        local &operator=(local &&other) noexcept {
            local old(std::move(*this));
            pool_ = other.pool_;
            cache_ = std::exchange(other.cache_, nullptr);
            lease_ = other.lease_;
            return *this;
        }
        ~local() {
            if (cache_ != nullptr) leave();
        }

        /// The slot stays entered, for an interface that carries a bare pointer: see resume().
        cache_type &release() noexcept { return *std::exchange(cache_, nullptr); }

        const pool_name &name() const noexcept { return pool_->name(); }
        /// What the operations of an unchecked pool go to.
        cache_type &cache() const noexcept { return *cache_; }
        pool &from() const noexcept { return *pool_; }

      private:
        friend pool;
        friend operations<local, T, checked>;
        local(pool &from, cache_type &entered) noexcept
            : pool_(&from), cache_(&entered), lease_(from.lease_of()) {}

        void leave() noexcept {
            if constexpr (checked) {
                try {
                    lease_.require_pool();
                } catch (const misuse &) {
                    return; // nothing to leave
                }
            }
            pool_->exchange().leave(*cache_);
        }

        cache_type &source() const noexcept { return *cache_; }
        const auto &hardening() const noexcept { return pool_->checker_; }
        auto &checks() const
            requires checked
        {
            lease_.require_pool();
            return pool_->checker_;
        }

        pool *pool_;
        cache_type *cache_;
        [[no_unique_address]] lease lease_;
    };

    /// A run of operations of one thread with its cache's state in registers. One long call as far as other
    /// threads can tell: let it span a burst, not a thread's life. Meanwhile the handle is not to be used.
    /// Only where has_sessions.
    class session : public operations<session, T, false> {
      public:
        static constexpr bool hardened = pool::hardened, counted = pool::counted;

        explicit session(local &through) noexcept
            requires has_sessions
            : session_(through.cache()), pool_(&through.from()) {}

        const pool_name &name() const noexcept { return pool_->name(); }

      private:
        friend operations<session, T, false>;
        cache_session &source() noexcept { return session_; }

        const auto &hardening() const noexcept { return pool_->checker_; }

        cache_session session_;
        pool *pool_;
    };

    /// The calling thread takes a slot, 0 <= slot < max_threads. Lock-free. Throws invalid_slot: EINVAL (no
    /// such slot), EBUSY (in use).
    [[nodiscard]] local enter(std::uint32_t slot) {
        return name_.in_errors([&] { return local(*this, for_entering().enter(slot)); });
    }
    /// Any slot that is free; when none is, as enter_as_guest(). Lock-free but for memory. Throws
    /// std::bad_alloc.
    [[nodiscard]] local enter() { return local(*this, for_entering().enter()); }
    /// A handle that takes no slot and keeps nothing between two calls, so each goes by the depot: slower,
    /// and never refused. Any number of them. Throws std::bad_alloc.
    [[nodiscard]] local enter_as_guest() { return local(*this, exchange().enter_as_guest()); }
    /// The handle of a slot that was entered, and released from its handle.
    [[nodiscard]] local resume(cache_type &entered) noexcept { return local(*this, entered); }

    /// Implicit threading: the calling thread gives up the cache that it was given. It gets another with its
    /// next call; for threads that pause for long. Lock-free.
    void detach() noexcept
        requires requires(route &r) { r.detach(); }
    {
        route_.detach();
    }

    /// Ends the object and gives it back to its pool, from whichever thread, through what the threading
    /// policy finds there. It does not keep the pool alive.
    class deleter {
      public:
        deleter() = default;
        void operator()(T *object) const noexcept {
            if constexpr (checked) lease_.require_pool();
            if constexpr (std::is_void_v<T>)
                from_->deallocate(object);
            else
                from_->destroy(object);
        }

      private:
        friend pool;
        explicit deleter(pool &from) noexcept : from_(&from), lease_(from.lease_of()) {}

        pool *from_ = nullptr;
        [[no_unique_address]] lease lease_;
    };
    /// Owns one object of a pool.
    using owner = std::unique_ptr<T, deleter>;

    /// A new T; null when there is no storage. What T's constructor throws passes through.
    template <class... Args>
        requires std::is_object_v<T>
    [[nodiscard]] owner
    try_make(Args &&...args) noexcept(noexcept(this->try_create(std::forward<Args>(args)...))) {
        return adopt(this->try_create(std::forward<Args>(args)...));
    }
    /// As try_make, but throws exhausted.
    template <class... Args>
        requires std::is_object_v<T>
    [[nodiscard]] owner make(Args &&...args) {
        return adopt(this->create(std::forward<Args>(args)...));
    }
    /// Take over what was created in, or released from an owner of this pool.
    [[nodiscard]] owner adopt(T *object) noexcept { return owner(object, deleter(*this)); }

    /// Objects in the pool, those in caches included. Exact while no thread is in a call,
    /// else an estimate.
    std::uint64_t available() const noexcept {
        std::uint64_t n = exchange().available();
        if constexpr (by_cpu) n += route_.objects();
        return std::min(n, options_.objects);
    }
    /// Whether the address lies in the memory of the objects. Wait-free.
    bool owns(const void *address) const noexcept { return memory_.contains(address); }
    /// Empty unless the options have one.
    const pool_name &name() const noexcept { return name_; }
    /// What the pool was asked to be, with what it settled itself filled in.
    const pool_options &options() const noexcept { return options_; }
    const object_layout &layout() const noexcept { return layout_; }
    /// The memory of the objects: report() reads back what it lies on, remerge() puts it on huge pages again.
    const mapping &memory() const noexcept { return memory_; }

    /// At any time; reads a line of each shard and of each slot that was ever entered, and writes nothing
    /// that a get or put uses. Wait-free.
    pool_statistics statistics() const noexcept {
        const auto &e = exchange();
        const numa_counters crossings = e.crossings();
        pool_statistics s{.name = name_,
                          .objects = options_.objects,
                          .object_stride = layout_.stride,
                          .region_bytes = memory_.size() * memory_.regions(),
                          .nodes = e.nodes(),
                          .fallback_gets = crossings.fallback_gets,
                          .foreign_puts = crossings.foreign_puts};
        depot_counters sum;
        for (std::uint32_t i = 0; i < e.nodes(); ++i) {
            const auto &one = e.on(i);
            s.available += one.available();
            s.cached += one.cached();
            s.magazine = one.options().magazine;
            s.magazines += one.magazines();
            s.cache_limit += one.cache_limit();
            if constexpr (!by_cpu) s.least_available += one.least_available();
            sum += one.counters();
        }
        if constexpr (by_cpu) {
            const auto of_cpus = route_.counters();
            sum += of_cpus.depot;
            s.available += route_.objects();
            s.cached += route_.objects();
            s.cpus = route_.cpus();
            s.restarts = of_cpus.restarts;
            s.least_available = e.on(0).shared().lowest().note(s.available);
        }
        s.available = std::min(s.available, s.objects);
        s.in_use = s.objects - s.available;
        s.exchanges = sum.exchanges;
        s.steals = sum.steals;
        s.reclaims = sum.reclaims;
        s.get_misses = sum.get_misses;
        s.put_misses = sum.put_misses;
        s.failed_gets = sum.failed_gets;
        s.guest_calls = sum.guest_calls;
        s.gets = sum.gets;
        s.got = sum.got;
        s.puts = sum.puts;
        s.put = sum.put;
        return s;
    }

    /// threads::per_cpu: why threads have the caches instead, one line for a person; null: CPUs have them.
    const char *threading_fallback() const noexcept
        requires by_cpu
    {
        return route_.fallback();
    }

    /// checking::leaks: report objects that are out, as the end of the pool will. While no thread is in a
    /// call.
    void report_leaks()
        requires checked
    {
        checker_.ending(options_.objects - available());
    }

    /// checking::overwrite: look at the guards of every object, wherever it is, and report those that are
    /// damaged; how many. While no other thread uses the pool.
    std::uint64_t audit()
        requires checked
    {
        return checker_.audit();
    }

  private:
    friend operations<pool, T, checked>;

    pool(const pool_options &options, const pool_name &name) try
        : name_(name), options_(fit(options)), layout_(options_, checking_policy::spare),
          memory_(numa_policy::memory(layout_, options_, of_exchange(options_, layout_))), root_(memory_),
          checker_(memory_, layout_, options_),
          route_(of_exchange(options_, layout_), memory_, layout_.stride, options_) {
        TURBOMEM_PROBE(pool_create, name_.text(), options_.objects);
        if (!name.empty()) memory_.name(("turbomem:" + options_.name).c_str());
    } catch (...) {
        name.in_errors([]() { throw; });
    }

    static exchange_options of_exchange(const pool_options &o, const object_layout &layout) noexcept {
        return {.objects = o.objects,
                .magazine = o.magazine,
                .max_threads = o.max_threads,
                .caching = o.caching,
                .populated = records::populated(layout.bytes)};
    }

    static pool_options fit(pool_options o) {
        if constexpr (std::is_object_v<T>) {
            if (o.object_size != 0 && o.object_size != sizeof(T))
                throw invalid_options("object_size is " + std::to_string(o.object_size) +
                                      ", not 0: a pool of a type has objects of its size, " +
                                      std::to_string(sizeof(T)));
            o.object_size = sizeof(T);
            if (o.alignment != 0) o.alignment = std::max<std::uint64_t>(o.alignment, alignof(T));
        }
        if (o.alignment != 0) o.alignment = std::max(o.alignment, checking_policy::alignment);
        if (o.max_threads == 0) o.max_threads = threading_policy::default_threads();
        if (o.magazine == 0)
            o.magazine = records::magazine(object_layout(o, checking_policy::spare).bytes, o.max_threads);
        numa_policy::check(o);
        return o;
    }

    auto &exchange() noexcept { return route_.exchange(); }
    const auto &exchange() const noexcept { return route_.exchange(); }
    /// With the slots that a fork left in use, as far as the threading policy knows them.
    auto &for_entering() noexcept {
        if constexpr (requires(route &r) { r.bury(); }) route_.bury();
        return exchange();
    }

    // What `operations` of a thread without a handle go through.
    auto &source() noexcept { return route_.source(); }
    const auto &hardening() const noexcept { return checker_; }
    auto &checks() noexcept
        requires checked
    {
        return checker_;
    }

    lease lease_of() const noexcept {
        if constexpr (checked)
            return checker_.given_lease();
        else
            return {};
    }

    pool_name name_;
    pool_options options_;
    object_layout layout_;
    mapping memory_;
    [[no_unique_address]] instrument::leak_root<mapping> root_;
    [[no_unique_address]] typename checking_policy::checker checker_;
    route route_;
};

/// A deleter without state, for a pool with static storage duration: its owners are one pointer wide.
///
///     inline turbomem::pool<packet, turbomem::threads::per_thread> packets({.objects = 65'535});
///     std::unique_ptr<packet, turbomem::static_deleter<packets>> p(packets.create());
template <auto &Pool> struct static_deleter {
    void operator()(typename std::remove_reference_t<decltype(Pool)>::value_type *object) const noexcept {
        if constexpr (std::is_void_v<typename std::remove_reference_t<decltype(Pool)>::value_type>)
            Pool.deallocate(object);
        else
            Pool.destroy(object);
    }
};

} // namespace turbomem
