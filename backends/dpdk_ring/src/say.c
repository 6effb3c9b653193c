/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk_ring.h"

#include <stdarg.h>
#include <stdio.h>

void say(allocmark_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}
