// SPDX-License-Identifier: BSD-3-Clause
/** The verifying mode's gets and puts: what a backend does to the arrays and codes of a call is checked. */
#pragma once

#include <cstdint>

#include "ledger.hpp"

namespace allocmark {

/** Calls `get`; its result is in `code`. False with `trouble` filled when the call itself was wrong. */
bool checked_get(int (*get)(void *, void *, void **, uint32_t), void *pool, void *local, void **objects,
                 uint32_t n, const Where &where, int &code, am_trouble &trouble);

/** Calls `put`. False with `trouble` filled when it wrote to its array. */
bool checked_put(void (*put)(void *, void *, void *const *, uint32_t), void *pool, void *local,
                 void *const *objects, uint32_t n, const Where &where, am_trouble &trouble);

} // namespace allocmark
