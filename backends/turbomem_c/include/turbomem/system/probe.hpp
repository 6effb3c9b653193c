// SPDX-License-Identifier: BSD-3-Clause
/// Places that bpftrace, perf and SystemTap can watch in a running program (USDT). Each is one instruction
/// that does nothing, and a note in the file that says where it is and where its arguments are.
///
///     bpftrace -e 'usdt:./program:turbomem:exhausted { @[ustack] = count(); }'
///
/// Define TURBOMEM_NO_PROBES to do without. None on other processors than x86 and Arm of 64 bits.
#pragma once

#include <cstdint>

/// TURBOMEM_PROBE(name, a, b): the arguments are pointers or unsigned numbers. For slow paths.
#if !defined(TURBOMEM_NO_PROBES) && defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__))

// The layout that <sys/sdt.h> of SystemTap defines: a note of type 3 with the address of the probe, that of a
// base (from which tools see that a file was relocated by prelink), no semaphore, and three strings. "?" puts
// the note into the group of an inline function's code, so that a linker drops both or none.
#define TURBOMEM_PROBE_NOTE(name, arguments)                                                                 \
    "990: nop\n"                                                                                             \
    ".pushsection .note.stapsdt, \"?\", \"note\"\n"                                                          \
    ".balign 4\n"                                                                                            \
    ".4byte 992f - 991f, 994f - 993f, 3\n"                                                                   \
    "991: .asciz \"stapsdt\"\n"                                                                              \
    "992: .balign 4\n"                                                                                       \
    "993: .8byte 990b, _.stapsdt.base, 0\n"                                                                  \
    ".asciz \"turbomem\"\n"                                                                                  \
    ".asciz \"" #name "\"\n"                                                                                 \
    ".asciz \"" arguments "\"\n"                                                                             \
    "994: .balign 4\n"                                                                                       \
    ".popsection\n"                                                                                          \
    ".ifndef _.stapsdt.base\n"                                                                               \
    ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"                              \
    ".weak _.stapsdt.base\n"                                                                                 \
    ".hidden _.stapsdt.base\n"                                                                               \
    "_.stapsdt.base: .space 1\n"                                                                             \
    ".size _.stapsdt.base, 1\n"                                                                              \
    ".popsection\n"                                                                                          \
    ".endif\n"

#define TURBOMEM_PROBE(name, a, b)                                                                           \
    asm volatile inline(TURBOMEM_PROBE_NOTE(name, "8@%0 8@%1")::"r"(::turbomem::detail::probe_value(a)),     \
                        "r"(::turbomem::detail::probe_value(b)))

namespace turbomem::detail {

inline std::uint64_t probe_value(const void *p) noexcept {
    return reinterpret_cast<std::uintptr_t>(p);
}
inline std::uint64_t probe_value(std::uint64_t n) noexcept {
    return n;
}

} // namespace turbomem::detail

#else
#define TURBOMEM_PROBE(name, a, b) static_cast<void>(0)
#endif
