// SPDX-License-Identifier: BSD-3-Clause
/**
 * Reads and writes the first bytes of objects, in a way that no compiler may remove.
 *
 * In a source file of its own, so that the compiler makes no copy for one caller's arguments: a workload, its
 * floor and the hand-written loop run the same instructions.
 */
#pragma once

#include <cstdint>

namespace allocmark::touch {

/** Writes the first `bytes` bytes of each of n objects, with a pattern made of `value`. */
void write(void *const *objects, uint32_t n, uint32_t bytes, uint64_t value);

/** Reads the first `bytes` bytes of each of n objects. */
void read(void *const *objects, uint32_t n, uint32_t bytes);

} // namespace allocmark::touch
