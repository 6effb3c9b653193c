// SPDX-License-Identifier: BSD-3-Clause
/** How the floor and a replay hand out pointers: alike, as they are compared. */
#pragma once

#include <cstdint>
#include <cstring>

namespace allocmark {

/** kN pointers: of a length that is known, the compiler makes a few vector instructions. */
template <uint32_t kN> void copy(void **to, void *const *from) {
    std::memcpy(to, from, kN * sizeof *to);
}

/** kN to 2 kN pointers: the first kN and the last, which may overlap. */
template <uint32_t kN> void copy_ends(void **to, void *const *from, uint32_t n) {
    copy<kN>(to, from);
    copy<kN>(to + n - kN, from + n - kN);
}

/** In this order: at bulk 1 a branch costs a third of a nanosecond. A call of memcpy pays from 17 on. */
inline void copy(void **to, void *const *from, uint32_t n) {
    if (n == 1) [[likely]]
        *to = *from;
    else if (n == 8) [[likely]]
        copy<8>(to, from);
    else if (n > 16)
        std::memcpy(to, from, n * sizeof *to);
    else if (n > 8)
        copy_ends<8>(to, from, n);
    else if (n >= 4)
        copy_ends<4>(to, from, n);
    else
        copy_ends<2>(to, from, n);
}

} // namespace allocmark
