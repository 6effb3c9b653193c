// SPDX-License-Identifier: BSD-3-Clause
/** What this process has of memory and files, as the kernel and the C library count it. */
#pragma once

#include <cstdint>

namespace allocmark {

struct ProcessMemory {
    uint64_t mapped = 0;   // bytes of address space
    uint64_t resident = 0; // bytes, hugetlb pages included
    uint64_t hugetlb = 0;  // bytes
    uint64_t heap = 0;     // bytes in use of malloc's heap; 0 where the C library does not count
    uint64_t files = 0;    // open descriptors

    static ProcessMemory now();
    /** Bytes by which memory has grown since `before`, by whichever count it grew more. */
    uint64_t growth(const ProcessMemory &before) const;
};

/** Resident bytes alone, hugetlb pages included. */
uint64_t resident_bytes();

} // namespace allocmark
