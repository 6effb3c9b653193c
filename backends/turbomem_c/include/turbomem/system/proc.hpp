// SPDX-License-Identifier: BSD-3-Clause
/// Reading what the kernel says in /proc and /sys. What cannot be read is absent, never zero.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace turbomem::detail {

/// The first number in a file: nothing when it cannot be opened or starts with something else ("max").
inline std::optional<std::uint64_t> number_in(const std::string &path) {
    std::ifstream file(path);
    std::uint64_t n = 0;
    if (file >> n) return n;
    return std::nullopt;
}

/// The kibibytes of a line such as "MemAvailable:  123 kB", in bytes. `name` ends with the colon and may
/// stand anywhere in the line, as node0/meminfo writes "Node 0 MemFree:".
inline std::optional<std::uint64_t> bytes_of(const std::string &path, const std::string &name) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const std::size_t at = line.find(name);
        std::uint64_t kib = 0;
        if (at != std::string::npos && (at == 0 || line[at - 1] == ' ') &&
            std::sscanf(line.c_str() + at + name.size(), "%" SCNu64, &kib) == 1)
            return kib * 1024;
    }
    return std::nullopt;
}

/// The kernel's list format: "0-2,5" is 0, 1, 2, 5. Ends at what is no list.
inline std::vector<int> parse_list(const std::string &text) {
    std::vector<int> numbers;
    std::istringstream in(text);
    for (int from = 0; in >> from;) {
        int to = from;
        if (in.peek() == '-') {
            in.get();
            if (!(in >> to)) break;
        }
        for (int n = from; n <= to; ++n) numbers.push_back(n);
        if (in.peek() != ',') break;
        in.get();
    }
    return numbers;
}

/// The list in a file, or nothing when it cannot be opened.
inline std::optional<std::vector<int>> list_in(const std::string &path) {
    std::ifstream file(path);
    std::string line;
    if (!file) return std::nullopt;
    std::getline(file, line); // an empty file is an empty list
    return parse_list(line);
}

} // namespace turbomem::detail
