// SPDX-License-Identifier: BSD-3-Clause
/// Restartable sequences (Linux 4.18): a critical section of one thread that the kernel starts anew when the
/// thread was preempted, migrated or interrupted by a signal in it. What such a section does to the data of
/// its CPU is atomic without a locked instruction, if it takes effect by its last store.
///
/// The C library owns the registration (glibc 2.35). It is only asked for, by weak references, so programs
/// for older ones and for others still link.
#pragma once

#include "turbomem/system/barriers.hpp"
#include "turbomem/system/proc.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#define TURBOMEM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TURBOMEM_TSAN 1
#endif
#endif

/// Whether there are sections for this processor in cpu_cell.hpp.
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#define TURBOMEM_RSEQ 1
extern "C" {
[[gnu::weak]] extern const std::ptrdiff_t __rseq_offset; // from the thread pointer
[[gnu::weak]] extern const unsigned int __rseq_size;     // 0: not registered
}
#endif

namespace turbomem::rseq {

/// Why this process cannot have restartable sequences, one line for a person; null: it can. The same at all
/// times, but for the environment variable that only tells why.
inline const char *unavailable() noexcept {
#if defined(TURBOMEM_TSAN)
    return "ThreadSanitizer does not see what restartable sequences order";
#elif defined(TURBOMEM_RSEQ)
    if (&__rseq_size == nullptr || &__rseq_offset == nullptr)
        return "the C library does not register restartable sequences: glibc does since 2.35";
    if (__rseq_size != 0) return nullptr;
    const char *tunables = std::getenv("GLIBC_TUNABLES");
    if (tunables != nullptr && std::strstr(tunables, "glibc.pthread.rseq=0") != nullptr)
        return "GLIBC_TUNABLES switches restartable sequences off";
    return "the kernel has no restartable sequences, or an emulator (Valgrind, qemu) hides them";
#else
    return "no restartable sequences are written for this processor";
#endif
}

/// Where each thread's registration lies, in bytes from its thread pointer. Only while unavailable() is null.
inline std::ptrdiff_t offset() noexcept {
#ifdef TURBOMEM_RSEQ
    return __rseq_offset;
#else
    return 0;
#endif
}

/// CPUs there can ever be, plugged in or not: the highest number + 1.
inline std::uint32_t possible_cpus() {
    const auto numbers = detail::list_in("/sys/devices/system/cpu/possible").value_or(std::vector<int>{});
    const long counted = numbers.empty() ? ::sysconf(_SC_NPROCESSORS_CONF)
                                         : *std::max_element(numbers.begin(), numbers.end()) + 1L;
    return static_cast<std::uint32_t>(std::max(1l, counted));
}

/// Restarts the sequences of others: every section that another thread of the process was in when it was
/// called has either taken effect, which the caller sees, or begins anew (Linux 5.10). Numbers: the headers
/// of older kernels lack the names, REGISTER_PRIVATE_EXPEDITED_RSEQ and PRIVATE_EXPEDITED_RSEQ.
using barrier = membarrier<1 << 8, 1 << 7>;

} // namespace turbomem::rseq
