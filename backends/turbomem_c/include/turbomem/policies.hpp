// SPDX-License-Identifier: BSD-3-Clause
/// Policies: types that settle at compile time how a pool does one thing. At most one of each family, in any
/// order. What can be settled at run time is in options.hpp instead.
#pragma once

#include <cstddef>
#include <type_traits>

namespace turbomem {

/// The families. A policy names its own as its member type `family`.
namespace policy {
struct threading {}; ///< how a thread finds its cache: threads::slots, per_thread, per_cpu, single
struct placement {}; ///< whether each NUMA node has a share of the objects: numa::any_node, by_node
struct metering {};  ///< whether calls are counted: metering::none, calls
struct checking {};  ///< which misuse is found: checking::none, hardened, checked<>
} // namespace policy

namespace detail {

template <class Family, class Policy> consteval bool is_in() {
    if constexpr (requires { typename Policy::family; })
        return std::is_same_v<typename Policy::family, Family>;
    else
        return false;
}

template <class Policy>
inline constexpr bool is_policy = is_in<policy::threading, Policy>() || is_in<policy::placement, Policy>() ||
                                  is_in<policy::metering, Policy>() || is_in<policy::checking, Policy>();

template <class Family, class... Policies>
inline constexpr std::size_t how_many = (std::size_t{0} + ... + std::size_t{is_in<Family, Policies>()});

/// Whether the list can be used; when not, the compiler's message says what is wrong with it.
template <class... Policies> consteval bool sound() {
    static_assert((is_policy<Policies> && ...),
                  "what follows the object type must be policies: see policies.hpp");
    static_assert(how_many<policy::threading, Policies...> <= 1,
                  "two threading policies: take one of threads::slots, per_thread, per_cpu, single");
    static_assert(how_many<policy::placement, Policies...> <= 1,
                  "two NUMA policies: take one of numa::any_node, by_node");
    static_assert(how_many<policy::metering, Policies...> <= 1,
                  "two metering policies: take one of metering::none, calls");
    static_assert(how_many<policy::checking, Policies...> <= 1,
                  "two checking policies: take one of checking::none, hardened, checked<a | b>");
    return true;
}

template <class Family, class Default, class... Policies> struct first_of {
    using type = Default;
};
template <class Family, class Default, class First, class... Rest>
struct first_of<Family, Default, First, Rest...>
    : std::conditional_t<is_in<Family, First>(), std::type_identity<First>,
                         first_of<Family, Default, Rest...>> {};

} // namespace detail

/// The policy of that family in the list, or the default.
template <class Family, class Default, class... Policies>
using policy_of = typename detail::first_of<Family, Default, Policies...>::type;

} // namespace turbomem
