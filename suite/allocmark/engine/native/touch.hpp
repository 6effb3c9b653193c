// SPDX-License-Identifier: BSD-3-Clause
/**
 * Reads and writes the first bytes of objects, in a way that no compiler may remove.
 *
 * Compiled apart, so that no caller gets a copy made for its own arguments: a workload, its floor and the
 * hand-written loop run the very same instructions.
 */
#pragma once

#include <cstdint>

namespace allocmark::touch {

/** Writes the first `bytes` bytes of each of n objects, with a pattern made of `value`. */
void write(void *const *objects, uint32_t n, uint32_t bytes, uint64_t value);

/** Reads the first `bytes` bytes of each of n objects. */
void read(void *const *objects, uint32_t n, uint32_t bytes);

} // namespace allocmark::touch
