// SPDX-License-Identifier: BSD-3-Clause
/**
 * The table of a C++ class. For C++20.
 *
 *     struct Mine {
 *         explicit Mine(const allocmark_pool_spec &spec); // or no argument; may throw
 *         void *get();                                    // nullptr: there is none
 *         void put(void *object);
 *     };
 *     ALLOCMARK_BACKEND(mine, Mine) // defines allocmark_mine_table()
 *
 * Each pool of a workload is an object of the class. What the class has decides what is called:
 *
 *   a pool         `void *get()` and `void put(void *object)`, or in bulk
 *                  `bool get(void **objects, std::uint32_t n)`, all or nothing, and
 *                  `void put(void *const *objects, std::uint32_t n)`
 *   an allocator   `void *allocate(std::size_t bytes)` and `void deallocate(void *object)`; allocate may take
 *                  the alignment, too, and deallocate the bytes, or bytes and alignment, as those of
 *                  std::pmr::memory_resource do. If it takes neither, objects may have sizes of their own
 *
 * They may throw std::bad_alloc where they might return nullptr or false.
 *
 * Optional:
 *
 *   - `L *enter(const allocmark_thread &thread)` and `void leave(L *local)`: what a thread keeps for itself;
 *     get and put, or allocate and deallocate, are then those of L
 *   - `void put_all()`: takes back at once all that is out, as an arena or region does; also that of L
 *   - `std::uint64_t available() const`: objects in the pool, those that threads keep included
 *   - `regions() const`: its memory, a range of allocmark_region such as std::array or std::vector
 *   - `void facts(const allocmark::Emit &emit) const`: what is really on: emit("cache", 64)
 *   - `static void init(const allocmark_init &init)` and `static void fini()`: once for the process; a
 *     variant's options come here
 *
 * A constructor, `enter` and `init` say by an exception why they cannot do what is asked. What does not fit
 * is a compiler's error that says what is expected.
 */
#ifndef ALLOCMARK_BACKEND_HPP
#define ALLOCMARK_BACKEND_HPP

#include <allocmark/backend.h>
#include <allocmark/say.h>

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

/** Defines `const void *allocmark_NAME_table()`, for C, which returns the table of a class. */
#define ALLOCMARK_BACKEND(name, Class)                                                                       \
    extern "C" const void *allocmark_##name##_table() {                                                      \
        return &allocmark::table<Class>;                                                                     \
    }

namespace allocmark {

/** Takes facts, texts and numbers. */
class Emit {
  public:
    Emit(allocmark_fact_fn emit, void *context) : emit_(emit), context_(context) {}
    void operator()(const char *key, const std::string &value) const { emit_(context_, key, value.c_str()); }
    void operator()(const char *key, std::integral auto number) const {
        (*this)(key, std::to_string(number));
    }

  private:
    allocmark_fact_fn emit_;
    void *context_;
};

// What a class may have.
template <class T>
concept GetsOne = requires(T &pool) {
    { pool.get() } -> std::convertible_to<void *>;
};
template <class T>
concept GetsBulk = requires(T &pool, void **objects, std::uint32_t n) {
    { pool.get(objects, n) } -> std::same_as<bool>;
};
template <class T>
concept Allocates = requires(T &heap, std::size_t bytes) {
    { heap.allocate(bytes) } -> std::convertible_to<void *>;
};
template <class T>
concept AllocatesAligned = requires(T &heap, std::size_t bytes, std::size_t alignment) {
    { heap.allocate(bytes, alignment) } -> std::convertible_to<void *>;
};
template <class T>
concept PutsOne = requires(T &pool, void *object) { pool.put(object); };
template <class T>
concept PutsBulk = requires(T &pool, void *const *objects, std::uint32_t n) { pool.put(objects, n); };
template <class T>
concept Deallocates = requires(T &heap, void *object) { heap.deallocate(object); };
template <class T>
concept DeallocatesSized =
    requires(T &heap, void *object, std::size_t bytes) { heap.deallocate(object, bytes); };
template <class T>
concept DeallocatesAligned = requires(T &heap, void *object, std::size_t bytes, std::size_t alignment) {
    heap.deallocate(object, bytes, alignment);
};
template <class T>
concept PutsAll = requires(T &pool) { pool.put_all(); };
template <class T>
concept IsPool = GetsOne<T> || GetsBulk<T>;
template <class T>
concept IsAllocator = Allocates<T> || AllocatesAligned<T>;
template <class T>
concept TakesBack = (IsPool<T> ? (PutsOne<T> || PutsBulk<T>)
                               : (Deallocates<T> || DeallocatesSized<T> || DeallocatesAligned<T>));
template <class T>
concept TakesAnySize =
    !IsPool<T> && IsAllocator<T> && Deallocates<T> && !DeallocatesSized<T> && !DeallocatesAligned<T>;
template <class T>
concept MadeFromSpec = std::constructible_from<T, const allocmark_pool_spec &>;
template <class T>
concept Enters = requires(T &pool, const allocmark_thread &thread) { *pool.enter(thread); };
template <class T>
concept Leaves = requires(T &pool, const allocmark_thread &thread) { pool.leave(pool.enter(thread)); };
template <class T>
concept Counts = requires(T &pool) {
    { pool.available() } -> std::convertible_to<std::uint64_t>;
};
template <class T>
concept TellsRegions = requires(std::remove_cvref_t<decltype(std::declval<T &>().regions())> &found) {
    { *std::begin(found) } -> std::convertible_to<allocmark_region>;
};
template <class T>
concept TellsFacts = requires(T &pool, const Emit &emit) { pool.facts(emit); };
template <class T>
concept Starts = requires(const allocmark_init &init) { T::init(init); };
template <class T>
concept Ends = requires { T::fini(); };

/** Whose get and put a thread calls. */
template <class T> struct UsedBy {
    using type = T;
};
template <Enters T> struct UsedBy<T> {
    using type = std::remove_reference_t<decltype(*std::declval<T &>().enter(allocmark_thread{}))>;
};

/** The functions of the table. */
template <class T> class Table {
    using Used = typename UsedBy<T>::type;

    struct Pool {
        T made;
        std::size_t bytes, alignment;
    };

    static Used &used(Pool &pool, [[maybe_unused]] void *local) {
        if constexpr (Enters<T>)
            return *static_cast<Used *>(local);
        else
            return pool.made;
    }

    static_assert(
        MadeFromSpec<T> || std::default_initializable<T>,
        "allocmark: the class needs a constructor from `const allocmark_pool_spec &`, or from nothing");
    static_assert(
        IsPool<Used> || IsAllocator<Used>,
        "allocmark: the class needs `void *get()`, `bool get(void **objects, std::uint32_t n)` or `void "
        "*allocate(std::size_t bytes)`");
    static_assert(
        !IsPool<Used> || TakesBack<Used>,
        "allocmark: a class with get needs `void put(void *object)` or `void put(void *const *objects, "
        "std::uint32_t n)`");
    static_assert(
        IsPool<Used> || !IsAllocator<Used> || TakesBack<Used>,
        "allocmark: a class with allocate needs `void deallocate(void *object)`, which may also take "
        "`std::size_t bytes`, and then `std::size_t alignment`");
    static_assert(!Enters<T> || Leaves<T>,
                  "allocmark: a class with `L *enter(const allocmark_thread &)` needs `void leave(L *)`");
    static_assert(
        Enters<T> || !requires { &T::enter; },
        "allocmark: enter must be `L *enter(const allocmark_thread &)`");
    static_assert(
        PutsAll<Used> || !requires { &Used::put_all; }, "allocmark: put_all must be `void put_all()`");
    static_assert(
        Counts<T> || !requires { &T::available; },
        "allocmark: available must be `std::uint64_t available() const`");
    static_assert(
        TellsRegions<T> || !requires { &T::regions; },
        "allocmark: regions must return a range of allocmark_region");
    static_assert(
        TellsFacts<T> || !requires { &T::facts; },
        "allocmark: facts must be `void facts(const allocmark::Emit &emit) const`");
    static_assert(
        Starts<T> || !requires { &T::init; },
        "allocmark: init must be `static void init(const allocmark_init &init)`");

    /** What an exception says, as the table says it. */
    template <class Do> static int guarded(allocmark_error *error, const char *where, Do what) noexcept {
        try {
            what();
            return 0;
        } catch (const std::bad_alloc &) {
            allocmark_say(error, "%sout of memory", where);
            return -ENOMEM;
        } catch (const std::exception &problem) {
            allocmark_say(error, "%s%s", where, problem.what());
        } catch (...) {
            allocmark_say(error, "%san exception that is no std::exception was thrown", where);
        }
        return -EINVAL;
    }

    static int init(const allocmark_init *init, [[maybe_unused]] allocmark_error *error) noexcept {
        if constexpr (Starts<T>) return guarded(error, "", [&] { T::init(*init); });
        (void)init;
        return 0;
    }

    static void fini() noexcept {
        if constexpr (Ends<T>) T::fini();
    }

    static int pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) noexcept {
        const std::string where = std::string("pool '") + spec->name + "': ";
        if constexpr (!IsPool<Used> && !AllocatesAligned<Used>) {
            if (spec->alignment > alignof(std::max_align_t)) {
                allocmark_say(error,
                              "%salignment is %llu; this allocator gives %zu, as its allocate takes none",
                              where.c_str(), (unsigned long long)spec->alignment, alignof(std::max_align_t));
                return -EINVAL;
            }
        }
        return guarded(error, where.c_str(), [&] {
            const std::size_t bytes = spec->object_size;
            const std::size_t alignment = spec->alignment ? spec->alignment : alignof(std::max_align_t);
            if constexpr (MadeFromSpec<T>)
                *pool = new Pool{T(*spec), bytes, alignment};
            else
                *pool = new Pool{T(), bytes, alignment};
        });
    }

    static void pool_destroy(void *pool) noexcept { delete static_cast<Pool *>(pool); }

    static int thread_enter(void *pool, const allocmark_thread *thread, void **local,
                            [[maybe_unused]] allocmark_error *error) noexcept {
        *local = nullptr;
        if constexpr (Enters<T>)
            return guarded(error, "", [&] { *local = static_cast<Pool *>(pool)->made.enter(*thread); });
        (void)pool, (void)thread;
        return 0;
    }

    static void thread_leave(void *pool, void *local) noexcept {
        if constexpr (Enters<T>) {
            Pool &left = *static_cast<Pool *>(pool);
            left.made.leave(&used(left, local));
        }
        (void)pool, (void)local;
    }

    static void *get_one(Used &from, [[maybe_unused]] const Pool &pool, [[maybe_unused]] std::size_t bytes) {
        if constexpr (GetsOne<Used>)
            return from.get();
        else if constexpr (AllocatesAligned<Used>)
            return from.allocate(bytes, pool.alignment);
        else
            return from.allocate(bytes);
    }

    static void put_one(Used &to, [[maybe_unused]] const Pool &pool, void *object) {
        if constexpr (PutsOne<Used>)
            to.put(object);
        else if constexpr (DeallocatesAligned<Used>)
            to.deallocate(object, pool.bytes, pool.alignment);
        else if constexpr (DeallocatesSized<Used>)
            to.deallocate(object, pool.bytes);
        else
            to.deallocate(object);
    }

    static int get_bulk(void *pool, void *local, void **objects, std::uint32_t n) noexcept {
        return get(pool, local, objects, n, static_cast<Pool *>(pool)->bytes);
    }

    static int get_sized(void *pool, void *local, void **objects, std::uint32_t n, std::uint64_t bytes,
                         std::uint32_t zeroed) noexcept {
        const int code = get(pool, local, objects, n, bytes);
        if (zeroed && code == 0)
            for (std::uint32_t i = 0; i < n; ++i) std::memset(objects[i], 0, bytes);
        return code;
    }

    [[gnu::always_inline]] static int get(void *pool, void *local, void **objects, std::uint32_t n,
                                          [[maybe_unused]] std::size_t bytes) noexcept {
        Pool &source = *static_cast<Pool *>(pool);
        Used &from = used(source, local);
        std::uint32_t got = 0;
        try {
            if constexpr (GetsBulk<Used>)
                got = from.get(objects, n) ? n : 0;
            else
                while (got < n && (objects[got] = get_one(from, source, bytes)) != nullptr) ++got;
        } catch (const std::bad_alloc &) {
        }
        if (got == n) return 0;
        if (got > 0) put_bulk(pool, local, objects, got);
        return IsPool<Used> ? -ENOENT : -ENOMEM;
    }

    static void put_bulk(void *pool, void *local, void *const *objects, std::uint32_t n) noexcept {
        Pool &target = *static_cast<Pool *>(pool);
        Used &to = used(target, local);
        if constexpr (PutsBulk<Used>)
            to.put(objects, n);
        else
            for (std::uint32_t i = 0; i < n; ++i) put_one(to, target, objects[i]);
    }

    static void put_all(void *pool, void *local) noexcept {
        used(*static_cast<Pool *>(pool), local).put_all();
    }

    static std::uint64_t available(void *pool) noexcept {
        return static_cast<Pool *>(pool)->made.available();
    }

    static std::uint32_t regions(void *pool, allocmark_region *regions, std::uint32_t capacity) noexcept {
        std::uint32_t n = 0;
        for (const allocmark_region &region : static_cast<Pool *>(pool)->made.regions()) {
            if (n < capacity) regions[n] = region;
            ++n;
        }
        return n;
    }

    static void facts(void *pool, allocmark_fact_fn emit, void *context) noexcept {
        if (pool != nullptr) static_cast<Pool *>(pool)->made.facts(Emit(emit, context));
    }

  public:
    static constexpr allocmark_backend make() {
        allocmark_backend made{
            .abi = ALLOCMARK_ABI_VERSION,
            .size = sizeof(allocmark_backend),
            .init = init,
            .pool_create = pool_create,
            .pool_destroy = pool_destroy,
            .thread_enter = thread_enter,
            .thread_leave = thread_leave,
            .get_bulk = get_bulk,
            .put_bulk = put_bulk,
        };
        if constexpr (Ends<T>) made.fini = fini;
        if constexpr (TakesAnySize<Used>) made.get_sized = get_sized;
        if constexpr (PutsAll<Used>) made.put_all = put_all;
        if constexpr (Counts<T>) made.available = available;
        if constexpr (TellsRegions<T>) made.regions = regions;
        if constexpr (TellsFacts<T>) made.facts = facts;
        return made;
    }
};

/** The table of a class. It lives as long as the process. */
template <class T> inline constexpr allocmark_backend table = Table<T>::make();

} // namespace allocmark

#endif
