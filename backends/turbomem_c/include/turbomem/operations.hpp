// SPDX-License-Identifier: BSD-3-Clause
/// What can be done with objects, the same through a pool and through a thread's handle.
#pragma once

#include "turbomem/name.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace turbomem {

/// No object is left (allocate, create, make).
class exhausted : public std::bad_alloc {
  public:
    explicit exhausted(const pool_name &of = {}) noexcept {
        if (of.empty())
            std::snprintf(text_, sizeof text_, "the pool has no object left");
        else
            std::snprintf(text_, sizeof text_, "pool '%s' has no object left", of.text());
    }
    const char *what() const noexcept override { return text_; }

  private:
    char text_[pool_name::most + 32];
};

/// Gives objects of `T` out and takes them back. `Door`, which derives from it, says through what:
///
///     auto &source()      has get_bulk, get_up_to, put_bulk: a cache, an exchange, a session
///     auto checks()       if `Checked`: the pool's checks, see checking::checked
///     bool hardened       whether puts go through hardening(), see checking::hardened
///     auto &name()        the pool's pool_name
///     bool counted        whether calls are counted, see metering::calls
///
/// `Checked`: functions that are noexcept below may throw misuse. Progress and cost are the source's, for
/// each function those of one get or put. A length known when compiling saves the loop of the copy.
template <class Door, class T, bool Checked> class operations {
  public:
    /// Storage for one T, not constructed; null when there is none.
    [[nodiscard]] T *try_allocate() noexcept(!Checked) {
        void *storage = nullptr;
        return take(&storage, 1) ? static_cast<T *>(storage) : nullptr;
    }
    /// As try_allocate, but throws exhausted.
    [[nodiscard]] T *allocate() {
        if (T *const storage = try_allocate()) [[likely]]
            return storage;
        throw exhausted(door().name());
    }
    /// The storage of one T, destroyed or never constructed. Not null; of this pool; once.
    void deallocate(T *object) noexcept(!Checked) {
        void *storage = object;
        give(&storage, 1);
    }

    /// Fill the span, or take nothing and return false; what is in the span is then undefined. At most
    /// 2^32 - 1 objects.
    [[nodiscard]] bool try_allocate(std::span<T *> objects) noexcept(!Checked) {
        return objects.size() <= UINT32_MAX && take(bare(objects.data()), count(objects));
    }
    /// Best effort: fill the span from its start as far as objects are found; how many. At most 2^32 - 1.
    [[nodiscard]] std::size_t allocate_up_to(std::span<T *> objects) noexcept(!Checked) {
        const std::size_t most = objects.size() < UINT32_MAX ? objects.size() : UINT32_MAX;
        std::uint32_t got;
        if constexpr (Checked)
            got = door().checks().get_up_to(door().source(), bare(objects.data()),
                                            static_cast<std::uint32_t>(most));
        else
            got = door().source().get_up_to(bare(objects.data()), static_cast<std::uint32_t>(most));
        if constexpr (Door::counted) {
            if (got != 0) door().source().count_get(got);
        }
        return got;
    }

    /// Every object of the span. At most 2^32 - 1.
    void deallocate(std::span<T *const> objects) noexcept(!Checked) {
        give(bare(objects.data()), count(objects));
    }
    /// Where T is void, an array would count as one object.
    template <std::size_t N> void deallocate(T *const (&objects)[N]) noexcept(!Checked) {
        deallocate(std::span<T *const>(objects));
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
        throw exhausted(door().name());
    }
    /// End a T that create made; by any thread. Not null.
    void destroy(T *object) noexcept(!Checked)
        requires std::is_object_v<T>
    {
        if constexpr (Checked) {
            if (!door().checks().is_out(object)) return;
        } else if constexpr (Door::hardened) {
            if (!door().hardening().is_object(object)) return;
        }
        std::destroy_at(object);
        deallocate(object);
    }

  private:
    Door &door() noexcept { return static_cast<Door &>(*this); }

    bool take(void **objects, std::uint32_t n) noexcept(!Checked) {
        bool got;
        if constexpr (Checked)
            got = door().checks().get_bulk(door().source(), objects, n);
        else
            got = door().source().get_bulk(objects, n);
        if constexpr (Door::counted) {
            if (got) door().source().count_get(n);
        }
        return got;
    }
    void give(void *const *objects, std::uint32_t n) noexcept(!Checked) {
        if constexpr (Door::counted) door().source().count_put(n);
        if constexpr (Checked)
            door().checks().put_bulk(door().source(), objects, n);
        else if constexpr (Door::hardened)
            door().hardening().put_bulk(door().source(), objects, n);
        else
            door().source().put_bulk(objects, n);
    }

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
