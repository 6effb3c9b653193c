// SPDX-License-Identifier: BSD-3-Clause
/// How the standard's interfaces, which ask for bytes at an alignment, reach pools.
#pragma once

#include "turbomem/size_classes.hpp"

#include <concepts>
#include <cstddef>

namespace turbomem::detail {

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

} // namespace turbomem::detail
