// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "allocmark/backend.h"

namespace allocmark {

/** A copy of a backend's table in which members that it does not know are NULL. */
inline allocmark_backend table_of(const void *address) {
    allocmark_backend table{};
    const auto *given = static_cast<const allocmark_backend *>(address);
    std::memcpy(&table, given, std::min<size_t>(given->size, sizeof table));
    return table;
}

} // namespace allocmark
