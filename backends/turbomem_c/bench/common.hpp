// SPDX-License-Identifier: BSD-3-Clause
/// What the benchmarks here share. Each is started once for every round, as where a process lies in memory
/// decides about its figures, and prints "ROUND NAME FIGURE". samples.py builds them and makes tables.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

[[noreturn]] inline void fail(const char *what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

/// The only argument of a benchmark: the number of its round, from 0.
inline int round_of(int argc, char **argv) {
    if (argc != 2) fail("which round?");
    return std::atoi(argv[1]);
}

/// Nanoseconds of processor time, of the thread or of the process: what others do meanwhile is no part of it.
inline double cpu_time(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

/// Takes `keep` objects in bulks of n and gives them all back, so many times. `get` and `put` should be
/// calls, as through a table of functions: what a compiler makes of a loop around inlined code differs more
/// from one compilation to the next than what is compared does.
template <class Get, class Put>
void bursts(void **held, std::uint32_t keep, std::uint32_t n, std::uint64_t times, Get get, Put put) {
    for (std::uint64_t t = 0; t < times; ++t) {
        for (std::uint32_t i = 0; i < keep; i += n) {
            if (!get(held + i, n)) fail("the pool ran out");
        }
        for (std::uint32_t i = 0; i < keep; i += n) put(held + i, n);
    }
}
