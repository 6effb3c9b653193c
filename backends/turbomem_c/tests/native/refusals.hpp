// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "turbomem/error.hpp"

#include <cstddef>
#include <fstream>
#include <string>
#include <utility>

/// The errno value and text of what the body throws; 0 when it does not.
template <class Body> std::pair<int, std::string> refusal(Body &&body) {
    try {
        body();
    } catch (const turbomem::error &e) {
        return {e.code(), e.what()};
    }
    return {0, "accepted"};
}

inline bool has(const std::string &text, const char *part) {
    return text.find(part) != std::string::npos;
}

/// Areas of memory that this process has.
inline std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t n = 0;
    for (std::string line; std::getline(maps, line);) ++n;
    return n;
}
