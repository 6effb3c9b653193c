// SPDX-License-Identifier: BSD-3-Clause
/// The kinds of page.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace turbomem {

enum class page_kind : std::uint8_t {
    base,       ///< pages of the base size (4 kB on x86), never huge
    thp,        ///< transparent huge pages of 2 MB: nothing to set up, nothing reserved
    hugetlb_2m, ///< pages of 2 MB that the administrator has reserved
    hugetlb_1g, ///< pages of 1 GB that the administrator has reserved
};

constexpr const char *name_of(page_kind kind) noexcept {
    switch (kind) {
    case page_kind::base:
        return "base";
    case page_kind::thp:
        return "thp";
    case page_kind::hugetlb_2m:
        return "hugetlb_2m";
    case page_kind::hugetlb_1g:
        return "hugetlb_1g";
    }
    return "unknown";
}

inline constexpr std::size_t huge_page = std::size_t{2} << 20;
/// Fewer bytes than these lie on base pages unless huge ones are insisted on: most of one would stay unused.
inline constexpr std::size_t worth_a_huge_page = huge_page / 2;
inline constexpr std::size_t gigantic_page = std::size_t{1} << 30;

constexpr bool is_hugetlb(page_kind kind) noexcept {
    return kind == page_kind::hugetlb_2m || kind == page_kind::hugetlb_1g;
}

namespace detail {
inline std::size_t base_page() noexcept {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}
} // namespace detail

/// Bytes of a page of that kind.
inline std::size_t page_bytes(page_kind kind) noexcept {
    switch (kind) {
    case page_kind::base:
        return detail::base_page();
    case page_kind::hugetlb_1g:
        return gigantic_page;
    default:
        return huge_page;
    }
}

} // namespace turbomem
