// SPDX-License-Identifier: BSD-3-Clause
/** Addresses that say which pool their object came from: in the byte that no address of a process uses. */
#pragma once

#include <cstdint>

namespace allocmark {

constexpr uint32_t kTagShift = 56;

/** Whether there is room for a tag: not in an address that the allocator itself has tagged. */
inline bool can_be_tagged(const void *object) {
    return reinterpret_cast<uintptr_t>(object) >> kTagShift == 0;
}
inline void *tagged(void *object, uint32_t pool) {
    return reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(object) | uintptr_t(pool) << kTagShift);
}
inline uint32_t tag_of(const void *tagged) {
    return uint32_t(reinterpret_cast<uintptr_t>(tagged) >> kTagShift);
}
inline void *untagged(void *tagged) {
    return reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(tagged) << 8 >> 8);
}

} // namespace allocmark
