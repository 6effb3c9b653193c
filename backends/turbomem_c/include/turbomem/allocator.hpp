// SPDX-License-Identifier: BSD-3-Clause
/// Pools and size classes as the standard library takes them: an allocator and a polymorphic memory resource.
#pragma once

#include "turbomem/size_classes.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <type_traits>

namespace turbomem {

namespace detail {

/// A pool serves what fits into one of its objects.
template <class... P> void *take_sized(pool<void, P...> &from, std::size_t bytes, std::size_t alignment) {
    const bool fits = bytes <= from.options().object_size && alignment <= from.options().alignment;
    return fits ? from.try_allocate() : nullptr;
}
/// False: it is not from there.
template <class... P> bool give_sized(pool<void, P...> &to, void *object, std::size_t) {
    if (!to.owns(object)) return false;
    to.deallocate(object);
    return true;
}

template <class... P> void *take_sized(size_classes<P...> &from, std::size_t bytes, std::size_t alignment) {
    return from.serves(bytes, alignment) ? from.try_allocate(bytes) : nullptr;
}
template <class... P> bool give_sized(size_classes<P...> &to, void *object, std::size_t bytes) {
    if (!to.owns(object, bytes)) return false;
    to.deallocate(object, bytes);
    return true;
}

/// pool<void, …> and size_classes<…>.
template <class S>
concept sized_source = requires(S &source, void *object, std::size_t n) {
    { take_sized(source, n, n) } -> std::same_as<void *>;
    { give_sized(source, object, n) } -> std::same_as<bool>;
};

} // namespace detail

/// Gives containers memory from a pool<void, …> or size_classes<…> and from nowhere else: throws exhausted
/// for what is too large there, or when nothing is left. Refers to the source, which outlives it.
///
///     turbomem::pool<void, turbomem::threads::per_thread> nodes({.object_size = 64, .objects = 10'000});
///     std::list<order, turbomem::allocator<order, decltype(nodes)>> orders(nodes);
template <class T, class Source> class allocator {
    static_assert(detail::sized_source<Source>,
                  "an allocator draws from a pool<void, …> or from size_classes<…>");

  public:
    using value_type = T;
    using propagate_on_container_copy_assignment = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    allocator(Source &from) noexcept : from_(&from) {}
    template <class U> allocator(const allocator<U, Source> &other) noexcept : from_(other.source()) {}

    /// Throws std::bad_array_new_length, exhausted.
    [[nodiscard]] T *allocate(std::size_t n) {
        if (n > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
        if (void *const storage = detail::take_sized(*from_, n * sizeof(T), alignof(T)))
            return static_cast<T *>(storage);
        throw exhausted();
    }
    void deallocate(T *storage, std::size_t n) { detail::give_sized(*from_, storage, n * sizeof(T)); }

    Source *source() const noexcept { return from_; }

    template <class U> bool operator==(const allocator<U, Source> &other) const noexcept {
        return from_ == other.source();
    }

  private:
    Source *from_;
};

/// Serves from a pool<void, …> or size_classes<…> what fits there, and the rest from upstream: sizes and
/// alignments that none serves, and what comes when the class is empty. Refers to both; they outlive it. As
/// thread-safe as the two are.
///
///     turbomem::size_classes<> pools(turbomem::geometric_classes(64, 4'096, 2, 1 << 20));
///     turbomem::memory_resource resource(pools);
///     std::pmr::list<order> orders(&resource);
///
/// Upstream std::pmr::null_memory_resource() makes it throw std::bad_alloc instead.
template <detail::sized_source Source> class memory_resource final : public std::pmr::memory_resource {
  public:
    explicit memory_resource(Source &from,
                             std::pmr::memory_resource *upstream = std::pmr::get_default_resource()) noexcept
        : from_(&from), upstream_(upstream) {}

    std::pmr::memory_resource *upstream() const noexcept { return upstream_; }

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override {
        if (void *const object = detail::take_sized(*from_, bytes, alignment)) return object;
        return upstream_->allocate(bytes, alignment);
    }
    void do_deallocate(void *object, std::size_t bytes, std::size_t alignment) override {
        if (!detail::give_sized(*from_, object, bytes)) upstream_->deallocate(object, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
#ifdef __cpp_rtti
        const auto *same = dynamic_cast<const memory_resource *>(&other);
        return same != nullptr && same->from_ == from_ && *same->upstream_ == *upstream_;
#else
        return this == &other;
#endif
    }

    Source *from_;
    std::pmr::memory_resource *upstream_;
};

} // namespace turbomem
