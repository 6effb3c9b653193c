// SPDX-License-Identifier: BSD-3-Clause
/// Page policies: what the objects lie on.
#pragma once

#include "turbomem/options.hpp"
#include "turbomem/page_kind.hpp"
#include "turbomem/policies.hpp"

namespace turbomem::pages {

namespace detail {
template <page_kind Kind> struct one_kind {
    using family = policy::paging;
    static constexpr page_kind kind = Kind;
    static void apply(pool_options &options) noexcept {
        options.pages.kind = Kind;
        options.pages.require = false;
    }
};
} // namespace detail

/// Transparent huge pages as far as the kernel gives them, base pages elsewhere. The default.
struct thp : detail::one_kind<page_kind::thp> {};
/// Base pages, never huge.
struct base : detail::one_kind<page_kind::base> {};
/// hugetlb pages of 2 MB; transparent huge pages when too few are free.
struct hugetlb_2m : detail::one_kind<page_kind::hugetlb_2m> {};
/// hugetlb pages of 1 GB; as above.
struct hugetlb_1g : detail::one_kind<page_kind::hugetlb_1g> {};

/// These pages or none: a pool that cannot have them for all of its objects is not made.
template <class Pages> struct require {
    using family = policy::paging;
    static void apply(pool_options &options) noexcept {
        Pages::apply(options);
        options.pages.require = true;
    }
};

/// As the options say at run time: `pages.kind` and `pages.require`.
struct chosen {
    using family = policy::paging;
    static void apply(pool_options &) noexcept {}
};

} // namespace turbomem::pages
