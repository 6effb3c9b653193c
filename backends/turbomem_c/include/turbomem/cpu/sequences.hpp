// SPDX-License-Identifier: BSD-3-Clause
/// What a CPU has of an exchange, and the four restartable sequences that act on it.
#pragma once

#include "turbomem/cpu/rseq.hpp"
#include "turbomem/exchange/counters.hpp"
#include "turbomem/exchange/magazine.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace turbomem {

/// One or two magazines, the one behind linked by `next`, and sums.
///
/// `top` is the address of the magazine to get from and put into, or odd: there is none. Its count is exact
/// all the time. While it is here the threads that run on this CPU get and put by sequences that end with the
/// store of its count, so they need no atomic operation among each other. Only they bring magazines in, with
/// a store. Two sides take magazines out and compete by compare-and-swap: a thread of the CPU, in a sequence
/// that ends with it, and a reclaimer on any CPU. The reclaimer must restart the sequences of others
/// (rseq::barrier) before it touches what it took: they may still be about to store a count.
struct alignas(no_sharing) cpu_cell {
    static constexpr std::uintptr_t none = 1;

    std::atomic<std::uintptr_t> top{none};
    std::atomic<std::uint32_t> victim{0}; ///< the shard that was stolen from last
    std::uint32_t shard = 0;              ///< of the depot
    depot_counters counters;              ///< of all threads that were here
    relaxed<std::uint64_t> restarts;      ///< sequences that had to begin anew
};

/// Every CPU's cell, and what the sequences need to find the right one.
struct cpu_cells {
    std::ptrdiff_t area;    ///< rseq::offset()
    cpu_cell *first;        ///< by the kernel's number of the CPU
    std::uint64_t size;     ///< a CPU of a higher number has none, nor has a thread without a registration
    std::uint64_t capacity; ///< of a magazine
};

/// How a sequence ended. `restarted` and `refused`: nothing happened.
enum class sequence {
    done,
    refused,  ///< the cell is not as needed
    restarted ///< the thread was preempted, migrated or interrupted
};

#ifdef TURBOMEM_RSEQ

// For both processors: label 1 is the descriptor, 2 the begin, 3 behind the committing store, 4 where the
// kernel goes on after a restart, with the signature in front that it looks for. "?" puts the descriptor and
// that code into the group of an inline function's code, so that a linker drops all or none. `struct rseq`
// has the CPU's number at 4 and the descriptor's address at 8. That address is taken back after every
// sequence: the kernel reads what it points to whenever it next interrupts the thread, when the shared object
// with the descriptor may be unloaded and another one may have its place.
//
// Slots above the count are nobody's, and so are a getter's pointers until it returns: what was copied by a
// sequence that did not end is copied again.

// How each of them ends. The kernel takes the address of a restarted sequence back by itself.
#define TURBOMEM_ENDS                                                                                        \
    leave_sequence(cells);                                                                                   \
    return sequence::done;                                                                                   \
    refused:                                                                                                 \
    leave_sequence(cells);                                                                                   \
    return sequence::refused;                                                                                \
    restarted:                                                                                               \
    return sequence::restarted;

static_assert(sizeof(cpu_cell) == 1 << 7 && offsetof(cpu_cell, top) == 0);

#if defined(__x86_64__)

#ifdef __AVX__
#define TURBOMEM_MOVUPS "vmovups" // does not mix with the wider moves around it at a cost
#else
#define TURBOMEM_MOVUPS "movups"
#endif

// Leaves the cell's distance from the first in rax. The signature's instruction is one that traps: ud1 (rip +
// …), edi.
#define TURBOMEM_SEQUENCE                                                                                    \
    ".pushsection __rseq_cs, \"aw?\"\n\t"                                                                    \
    ".balign 32\n"                                                                                           \
    "1:\t.long 0, 0\n\t"                                                                                     \
    ".quad 2f, 3f - 2f, 4f\n\t"                                                                              \
    ".popsection\n\t"                                                                                        \
    ".pushsection __rseq_failure, \"ax?\"\n\t"                                                               \
    ".byte 0x0f, 0xb9, 0x3d\n\t"                                                                             \
    ".long 0x53053053\n"                                                                                     \
    "4:\tjmp %l[restarted]\n\t"                                                                              \
    ".popsection\n\t"                                                                                        \
    "leaq 1b(%%rip), %%rax\n\t"                                                                              \
    "movq %%rax, %%fs:8(%[area])\n"                                                                          \
    "2:\tmovl %%fs:4(%[area]), %%eax\n\t"                                                                    \
    "cmpq %[size], %%rax\n\t"                                                                                \
    "jae %l[refused]\n\t"                                                                                    \
    "shlq $7, %%rax\n\t"

// From there to the magazine of the cell.
#define TURBOMEM_TOP                                                                                         \
    "movq (%[first],%%rax), %%rax\n\t"                                                                       \
    "testb $1, %%al\n\t"                                                                                     \
    "jnz %l[refused]\n\t"

// n pointers: those that do not fill two registers first. Uses rdx, xmm0, xmm1.
#define TURBOMEM_COPY(from, to, scratch)                                                                     \
    "movq %[n], %%rdx\n\t"                                                                                   \
    "testb $1, %%dl\n\t"                                                                                     \
    "jz 5f\n\t"                                                                                              \
    "movq -8(" from ",%%rdx,8), " scratch "\n\t"                                                             \
    "movq " scratch ", -8(" to ",%%rdx,8)\n\t"                                                               \
    "decq %%rdx\n\t"                                                                                         \
    "jz 8f\n"                                                                                                \
    "5:\ttestb $2, %%dl\n\t"                                                                                 \
    "jz 6f\n\t" TURBOMEM_MOVUPS " -16(" from ",%%rdx,8), %%xmm0\n\t" TURBOMEM_MOVUPS " %%xmm0, -16(" to      \
    ",%%rdx,8)\n\t"                                                                                          \
    "subq $2, %%rdx\n"                                                                                       \
    "6:\ttestq %%rdx, %%rdx\n\t"                                                                             \
    "jz 8f\n"                                                                                                \
    "7:\t" TURBOMEM_MOVUPS " -16(" from ",%%rdx,8), %%xmm0\n\t" TURBOMEM_MOVUPS " -32(" from                 \
    ",%%rdx,8), %%xmm1\n\t" TURBOMEM_MOVUPS " %%xmm0, -16(" to ",%%rdx,8)\n\t" TURBOMEM_MOVUPS               \
    " %%xmm1, -32(" to ",%%rdx,8)\n\t"                                                                       \
    "subq $4, %%rdx\n\t"                                                                                     \
    "jnz 7b\n"                                                                                               \
    "8:\t"

/// The kernel has nothing to restart any more.
[[gnu::always_inline]] inline void leave_sequence(const cpu_cells &cells) noexcept {
    asm volatile("movq $0, %%fs:8(%[area])" : : [area] "r"(cells.area) : "memory");
}

/// Take n objects from the running CPU's magazine; refused: it has not as many.
[[gnu::always_inline]] inline sequence cpu_get(const cpu_cells &cells, void **objects,
                                               std::uint64_t n) noexcept {
    asm goto(
        TURBOMEM_SEQUENCE TURBOMEM_TOP "movl %c[count](%%rax), %%ecx\n\t"
                                       "subq %[n], %%rcx\n\t"
                                       "jb %l[refused]\n\t"
                                       "leaq %c[slots](%%rax,%%rcx,8), %%r8\n\t" //
        TURBOMEM_COPY("%%r8", "%[objects]", "%%r9") "movl %%ecx, %c[count](%%rax)\n"
                                                    "3:\n\t"
        :
        : [area] "r"(cells.area), [first] "r"(cells.first), [size] "rm"(cells.size), [objects] "r"(objects),
          [n] "r"(n), [count] "i"(offsetof(magazine, count)), [slots] "i"(sizeof(magazine))
        : "memory", "cc", "rax", "rcx", "rdx", "r8", "r9", "xmm0", "xmm1"
        : refused, restarted);
    TURBOMEM_ENDS
}

/// Put n objects into the running CPU's magazine; refused: it has no room for as many.
[[gnu::always_inline]] inline sequence cpu_put(const cpu_cells &cells, void *const *objects,
                                               std::uint64_t n) noexcept {
    asm goto(TURBOMEM_SEQUENCE TURBOMEM_TOP "movl %c[count](%%rax), %%ecx\n\t"
                                            "leaq (%%rcx,%[n]), %%r9\n\t"
                                            "cmpq %[capacity], %%r9\n\t"
                                            "ja %l[refused]\n\t"
                                            "leaq %c[slots](%%rax,%%rcx,8), %%r8\n\t" //
             TURBOMEM_COPY("%[objects]", "%%r8", "%%rcx") "movl %%r9d, %c[count](%%rax)\n"
                                                          "3:\n\t"
             :
             : [area] "r"(cells.area), [first] "r"(cells.first), [size] "rm"(cells.size),
               [capacity] "rm"(cells.capacity), [objects] "r"(objects), [n] "r"(n),
               [count] "i"(offsetof(magazine, count)), [slots] "i"(sizeof(magazine))
             : "memory", "cc", "rax", "rcx", "rdx", "r8", "r9", "xmm0", "xmm1"
             : refused, restarted);
    TURBOMEM_ENDS
}

/// Take the magazines out of the running CPU's cell; refused: it has none.
inline sequence cpu_detach(const cpu_cells &cells, std::uintptr_t *top) noexcept {
    asm goto(TURBOMEM_SEQUENCE "leaq (%[first],%%rax), %%rdx\n\t" //
             TURBOMEM_TOP "movq %%rax, (%[top])\n\t"
                               "movl %[none], %%ecx\n\t"
                               "lock cmpxchgq %%rcx, (%%rdx)\n"
                               "3:\tjne %l[refused]\n\t"
             :
             : [area] "r"(cells.area), [first] "r"(cells.first), [size] "rm"(cells.size), [top] "r"(top),
               [none] "i"(cpu_cell::none)
             : "memory", "cc", "rax", "rcx", "rdx"
             : refused, restarted);
    TURBOMEM_ENDS
}

/// Bring magazines into the running CPU's cell; refused: it has some.
inline sequence cpu_attach(const cpu_cells &cells, std::uintptr_t top) noexcept {
    asm goto(TURBOMEM_SEQUENCE "cmpq %[none], (%[first],%%rax)\n\t"
                               "jne %l[refused]\n\t"
                               "movq %[top], (%[first],%%rax)\n"
                               "3:\n\t"
             :
             : [area] "r"(cells.area), [first] "r"(cells.first), [size] "rm"(cells.size), [top] "r"(top),
               [none] "i"(cpu_cell::none)
             : "memory", "cc", "rax"
             : refused, restarted);
    TURBOMEM_ENDS
}

#undef TURBOMEM_SEQUENCE
#undef TURBOMEM_TOP
#undef TURBOMEM_COPY
#undef TURBOMEM_MOVUPS

/// The CPU the thread ran on a moment ago; 0 without a registration.
inline std::uint32_t cpu_lately(const cpu_cells &cells) noexcept {
    std::uint32_t cpu = 0;
    asm volatile("movl %%fs:0(%[area]), %[cpu]" : [cpu] "=r"(cpu) : [area] "r"(cells.area));
    return cpu;
}

#elif defined(__aarch64__)

// Leaves the address of the cell in x9. The signature's instruction is one that traps: brk #0x45e0.
#define TURBOMEM_SEQUENCE                                                                                    \
    ".pushsection __rseq_cs, \"aw?\"\n\t"                                                                    \
    ".balign 32\n"                                                                                           \
    "1:\t.long 0, 0\n\t"                                                                                     \
    ".quad 2f, 3f - 2f, 4f\n\t"                                                                              \
    ".popsection\n\t"                                                                                        \
    ".pushsection __rseq_failure, \"ax?\"\n\t"                                                               \
    ".inst 0xd428bc00\n"                                                                                     \
    "4:\tb %l[restarted]\n\t"                                                                                \
    ".popsection\n\t"                                                                                        \
    "adrp x9, 1b\n\t"                                                                                        \
    "add x9, x9, :lo12:1b\n\t"                                                                               \
    "str x9, [%[area], #8]\n"                                                                                \
    "2:\tldr w9, [%[area], #4]\n\t"                                                                          \
    "cmp x9, %[size]\n\t"                                                                                    \
    "b.hs %l[refused]\n\t"                                                                                   \
    "add x9, %[first], x9, lsl #7\n\t"

// From the cell in x9 to the magazine there.
#define TURBOMEM_TOP                                                                                         \
    "ldr x9, [x9]\n\t"                                                                                       \
    "tst x9, #1\n\t"                                                                                         \
    "b.ne %l[refused]\n\t"

// n pointers from x11 to x12. Uses x13 to x15.
#define TURBOMEM_COPY                                                                                        \
    "mov x13, %[n]\n\t"                                                                                      \
    "tbz x13, #0, 5f\n\t"                                                                                    \
    "ldr x14, [x11], #8\n\t"                                                                                 \
    "str x14, [x12], #8\n\t"                                                                                 \
    "sub x13, x13, #1\n"                                                                                     \
    "5:\tcbz x13, 7f\n"                                                                                      \
    "6:\tldp x14, x15, [x11], #16\n\t"                                                                       \
    "stp x14, x15, [x12], #16\n\t"                                                                           \
    "subs x13, x13, #2\n\t"                                                                                  \
    "b.ne 6b\n"                                                                                              \
    "7:\t"

namespace detail {
inline std::byte *rseq_area(const cpu_cells &cells) noexcept {
    return static_cast<std::byte *>(__builtin_thread_pointer()) + cells.area;
}
} // namespace detail

/// The kernel has nothing to restart any more.
[[gnu::always_inline]] inline void leave_sequence(const cpu_cells &cells) noexcept {
    asm volatile("str xzr, [%[area], #8]" : : [area] "r"(detail::rseq_area(cells)) : "memory");
}

/// Take n objects from the running CPU's magazine; refused: it has not as many.
[[gnu::always_inline]] inline sequence cpu_get(const cpu_cells &cells, void **objects,
                                               std::uint64_t n) noexcept {
    asm goto(TURBOMEM_SEQUENCE TURBOMEM_TOP "ldr w10, [x9, %[count]]\n\t"
                                            "subs x10, x10, %[n]\n\t"
                                            "b.lo %l[refused]\n\t"
                                            "add x11, x9, %[slots]\n\t"
                                            "add x11, x11, x10, lsl #3\n\t"
                                            "mov x12, %[objects]\n\t" //
             TURBOMEM_COPY "str w10, [x9, %[count]]\n"
                                            "3:\n\t"
             :
             : [area] "r"(detail::rseq_area(cells)), [first] "r"(cells.first), [size] "r"(cells.size),
               [objects] "r"(objects), [n] "r"(n), [count] "i"(offsetof(magazine, count)),
               [slots] "i"(sizeof(magazine))
             : "memory", "cc", "x9", "x10", "x11", "x12", "x13", "x14", "x15"
             : refused, restarted);
    TURBOMEM_ENDS
}

/// Put n objects into the running CPU's magazine; refused: it has no room for as many.
[[gnu::always_inline]] inline sequence cpu_put(const cpu_cells &cells, void *const *objects,
                                               std::uint64_t n) noexcept {
    asm goto(TURBOMEM_SEQUENCE TURBOMEM_TOP "ldr w10, [x9, %[count]]\n\t"
                                            "add x12, x9, %[slots]\n\t"
                                            "add x12, x12, x10, lsl #3\n\t"
                                            "add x10, x10, %[n]\n\t"
                                            "cmp x10, %[capacity]\n\t"
                                            "b.hi %l[refused]\n\t"
                                            "mov x11, %[objects]\n\t" //
             TURBOMEM_COPY "str w10, [x9, %[count]]\n"
                                            "3:\n\t"
             :
             : [area] "r"(detail::rseq_area(cells)), [first] "r"(cells.first), [size] "r"(cells.size),
               [capacity] "r"(cells.capacity), [objects] "r"(objects), [n] "r"(n),
               [count] "i"(offsetof(magazine, count)), [slots] "i"(sizeof(magazine))
             : "memory", "cc", "x9", "x10", "x11", "x12", "x13", "x14", "x15"
             : refused, restarted);
    TURBOMEM_ENDS
}

/// Take the magazines out of the running CPU's cell; refused: it has none.
inline sequence cpu_detach(const cpu_cells &cells, std::uintptr_t *top) noexcept {
    asm goto(TURBOMEM_SEQUENCE "mov x12, x9\n\t" //
             TURBOMEM_TOP "str x9, [%[top]]\n\t"
                               "mov x11, %[none]\n\t"
                               "ldxr x10, [x12]\n\t"
                               "cmp x10, x9\n\t"
                               "b.ne %l[refused]\n\t"
                               "stxr w10, x11, [x12]\n"
                               "3:\tcbnz w10, %l[restarted]\n\t"
             :
             : [area] "r"(detail::rseq_area(cells)), [first] "r"(cells.first), [size] "r"(cells.size),
               [top] "r"(top), [none] "i"(cpu_cell::none)
             : "memory", "cc", "x9", "x10", "x11", "x12"
             : refused, restarted);
    TURBOMEM_ENDS
}

/// Bring magazines into the running CPU's cell; refused: it has some. Release: a reclaimer finds them as they
/// are.
inline sequence cpu_attach(const cpu_cells &cells, std::uintptr_t top) noexcept {
    asm goto(TURBOMEM_SEQUENCE "ldr x10, [x9]\n\t"
                               "cmp x10, %[none]\n\t"
                               "b.ne %l[refused]\n\t"
                               "stlr %[top], [x9]\n"
                               "3:\n\t"
             :
             : [area] "r"(detail::rseq_area(cells)), [first] "r"(cells.first), [size] "r"(cells.size),
               [top] "r"(top), [none] "i"(cpu_cell::none)
             : "memory", "cc", "x9", "x10"
             : refused, restarted);
    TURBOMEM_ENDS
}

#undef TURBOMEM_SEQUENCE
#undef TURBOMEM_TOP
#undef TURBOMEM_COPY

/// The CPU the thread ran on a moment ago; 0 without a registration.
inline std::uint32_t cpu_lately(const cpu_cells &cells) noexcept {
    return *reinterpret_cast<const volatile std::uint32_t *>(detail::rseq_area(cells));
}

#endif
#undef TURBOMEM_ENDS
#else // no sequences are written: a CPU has nothing

inline sequence cpu_get(const cpu_cells &, void **, std::uint64_t) noexcept {
    return sequence::refused;
}
inline sequence cpu_put(const cpu_cells &, void *const *, std::uint64_t) noexcept {
    return sequence::refused;
}
inline sequence cpu_detach(const cpu_cells &, std::uintptr_t *) noexcept {
    return sequence::refused;
}
inline sequence cpu_attach(const cpu_cells &, std::uintptr_t) noexcept {
    return sequence::refused;
}
inline std::uint32_t cpu_lately(const cpu_cells &) noexcept {
    return 0;
}

#endif

} // namespace turbomem
