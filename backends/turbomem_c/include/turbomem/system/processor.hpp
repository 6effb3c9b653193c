// SPDX-License-Identifier: BSD-3-Clause
/// Which processor this is, for choices that were measured and differ.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdint>
#include <cstring>

namespace turbomem::detail {

/// The family of a processor by AMD, as `lscpu` prints it (25: Zen 3 and 4, 26: Zen 5); 0 for others.
inline std::uint32_t amd_family() noexcept {
#if defined(__x86_64__)
    static const std::uint32_t found = []() -> std::uint32_t {
        std::uint32_t a, b, c, d;
        if (__get_cpuid(0, &a, &b, &c, &d) == 0) return 0;
        char vendor[12];
        std::memcpy(vendor, &b, 4);
        std::memcpy(vendor + 4, &d, 4);
        std::memcpy(vendor + 8, &c, 4);
        if (std::memcmp(vendor, "AuthenticAMD", sizeof vendor) != 0 || __get_cpuid(1, &a, &b, &c, &d) == 0)
            return 0;
        return (a >> 8 & 0xf) + (a >> 20 & 0xff);
    }();
    return found;
#else
    return 0;
#endif
}

} // namespace turbomem::detail
