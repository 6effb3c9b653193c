// SPDX-License-Identifier: BSD-3-Clause
/// What can be done with objects, the same through a pool and through a thread's handle.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace turbomem {

/// No object is left (allocate, create, make).
class exhausted : public std::bad_alloc {
  public:
    const char *what() const noexcept override { return "the pool has no object left"; }
};

/// Gives objects of `T` out and takes them back, over what `Door` (derived from it) does with bare pointers:
///
///     bool take(void **, std::uint32_t n)                 all or none
///     template <std::uint32_t N> bool take(void **)
///     std::uint32_t take_up_to(void **, std::uint32_t n)
///     void give(void *const *, std::uint32_t n)
///     template <std::uint32_t N> void give(void *const *)
///     bool is_out(const void *)                           may its destructor run?
///
/// `Checked`: functions that are noexcept below may throw misuse. Progress and cost are the door's, for each
/// function those of one take or give; nothing is added.
template <class Door, class T, bool Checked> class operations {
  public:
    /// Storage for one T, not constructed; null when there is none.
    [[nodiscard]] T *try_allocate() noexcept(!Checked) {
        void *storage = nullptr;
        return door().template take<1>(&storage) ? static_cast<T *>(storage) : nullptr;
    }
    /// As try_allocate, but throws exhausted.
    [[nodiscard]] T *allocate() {
        if (T *const storage = try_allocate()) [[likely]]
            return storage;
        throw exhausted();
    }
    /// The storage of one T, destroyed or never constructed. Not null; of this pool; once.
    void deallocate(T *object) noexcept(!Checked) {
        void *storage = object;
        door().template give<1>(&storage);
    }

    /// Fill the span, or take nothing and return false; what is in the span is then undefined. At most
    /// 2^32 - 1 objects.
    [[nodiscard]] bool try_allocate(std::span<T *> objects) noexcept(!Checked) {
        return objects.size() <= UINT32_MAX && door().take(bare(objects.data()), count(objects));
    }
    /// The same with a length known when compiling, which saves the loop of the copy.
    template <std::size_t N>
        requires(N != std::dynamic_extent && N <= UINT32_MAX)
    [[nodiscard]] bool try_allocate(std::span<T *, N> objects) noexcept(!Checked) {
        return door().template take<static_cast<std::uint32_t>(N)>(bare(objects.data()));
    }
    template <std::size_t N> [[nodiscard]] bool try_allocate(std::array<T *, N> &objects) noexcept(!Checked) {
        return try_allocate(std::span<T *, N>(objects));
    }
    template <std::size_t N> [[nodiscard]] bool try_allocate(T *(&objects)[N]) noexcept(!Checked) {
        return try_allocate(std::span<T *, N>(objects));
    }
    /// Best effort: fill the span from its start as far as objects are found; how many. At most 2^32 - 1.
    [[nodiscard]] std::size_t allocate_up_to(std::span<T *> objects) noexcept(!Checked) {
        const std::size_t most = objects.size() < UINT32_MAX ? objects.size() : UINT32_MAX;
        return door().take_up_to(bare(objects.data()), static_cast<std::uint32_t>(most));
    }

    /// Every object of the span. At most 2^32 - 1.
    void deallocate(std::span<T *const> objects) noexcept(!Checked) {
        door().give(bare(objects.data()), count(objects));
    }
    template <std::size_t N>
        requires(N != std::dynamic_extent && N <= UINT32_MAX)
    void deallocate(std::span<T *const, N> objects) noexcept(!Checked) {
        door().template give<static_cast<std::uint32_t>(N)>(bare(objects.data()));
    }
    template <std::size_t N> void deallocate(const std::array<T *, N> &objects) noexcept(!Checked) {
        deallocate(std::span<T *const, N>(objects));
    }
    template <std::size_t N> void deallocate(T *const (&objects)[N]) noexcept(!Checked) {
        deallocate(std::span<T *const, N>(objects));
    }

    /// A new T, or null when there is no storage. What T's constructor throws passes through; the storage is
    /// back then.
    template <class... Args>
        requires std::is_object_v<T>
    [[nodiscard]] T *try_create(Args &&...args) noexcept(!Checked &&
                                                         std::is_nothrow_constructible_v<T, Args...>) {
        T *const storage = try_allocate();
        if (storage == nullptr) return nullptr;
        if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
            return construct(storage, std::forward<Args>(args)...);
        } else {
            try {
                return construct(storage, std::forward<Args>(args)...);
            } catch (...) {
                deallocate(storage);
                throw;
            }
        }
    }
    /// As try_create, but throws exhausted.
    template <class... Args>
        requires std::is_object_v<T>
    [[nodiscard]] T *create(Args &&...args) {
        if (T *const object = try_create(std::forward<Args>(args)...)) [[likely]]
            return object;
        throw exhausted();
    }
    /// End a T that create made; by any thread. Not null.
    void destroy(T *object) noexcept(!Checked)
        requires std::is_object_v<T>
    {
        if constexpr (Checked) {
            if (!door().is_out(object)) return;
        }
        std::destroy_at(object);
        deallocate(object);
    }

  private:
    Door &door() noexcept { return static_cast<Door &>(*this); }

    // Compilers let a pointer to void stand for any pointer; the copies themselves go through memcpy.
    static void **bare(T **objects) noexcept { return reinterpret_cast<void **>(objects); }
    static void *const *bare(T *const *objects) noexcept { return reinterpret_cast<void *const *>(objects); }
    template <class Span> static std::uint32_t count(const Span &objects) noexcept {
        return static_cast<std::uint32_t>(objects.size());
    }

    // An aggregate may be given its first members only.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
    template <class... Args> static T *construct(T *storage, Args &&...args) {
        if constexpr (std::is_constructible_v<T, Args...>)
            return ::new (static_cast<void *>(storage)) T(std::forward<Args>(args)...);
        else
            return ::new (static_cast<void *>(storage)) T{std::forward<Args>(args)...};
    }
#pragma GCC diagnostic pop
};

} // namespace turbomem
