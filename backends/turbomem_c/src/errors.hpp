// SPDX-License-Identifier: BSD-3-Clause
/// From exceptions to what C callers see: a negative errno value and a message of one line.
#pragma once

#include "turbomem/error.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <new>

namespace turbomem {

inline void write_message(char *to, std::size_t size, const char *message) noexcept {
    if (to != nullptr) std::snprintf(to, size, "%s", message);
}

/// Run `body`; 0, or the negative errno value of what it threw, with the message in `to`.
template <class Body> int translate(char *to, std::size_t size, Body &&body) noexcept {
    try {
        body();
        return 0;
    } catch (const error &e) {
        write_message(to, size, e.what());
        return -e.code();
    } catch (const std::bad_alloc &) {
        write_message(to, size,
                      "not enough memory for the pool's bookkeeping: take fewer objects or threads");
        return -ENOMEM;
    } catch (const std::exception &e) {
        write_message(to, size, e.what());
        return -EIO;
    }
}

} // namespace turbomem
