// SPDX-License-Identifier: BSD-3-Clause
#include "plugin.hpp"

extern "C" [[gnu::visibility("default")]] const calls *plugin() {
    return &these_calls;
}
