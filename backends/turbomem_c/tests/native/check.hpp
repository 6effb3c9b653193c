// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

/// End the program with the place and the condition that did not hold.
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                             \
            std::exit(1);                                                                                    \
        }                                                                                                    \
    } while (false)

/// Whether a user-mode emulator runs the program. It keeps no RLIMIT_AS, installs no seccomp filter, binds no
/// memory, makes up what /proc/self/smaps says, and has no room for terabytes of addresses.
#ifdef EMULATED
inline constexpr bool emulated = true;
#else
inline constexpr bool emulated = false;
#endif

/// Which sanitizer the program is compiled with: gcc defines a macro for it, clang has it as a feature.
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool address_sanitizer = true;
#else
inline constexpr bool address_sanitizer = __has_feature(address_sanitizer);
#endif
#ifdef __SANITIZE_THREAD__
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = __has_feature(thread_sanitizer);
#endif

/// Random numbers that are the same in every run.
class dice {
  public:
    explicit dice(std::uint64_t seed) : engine_(seed) {}
    /// Uniform in from .. to.
    std::uint32_t roll(std::uint32_t from, std::uint32_t to) {
        return std::uniform_int_distribution<std::uint32_t>(from, to)(engine_);
    }

  private:
    std::mt19937_64 engine_;
};
