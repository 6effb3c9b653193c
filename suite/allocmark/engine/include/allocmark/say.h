/* SPDX-License-Identifier: BSD-3-Clause */
/** Error messages and facts of a backend. For C and C++. */
#ifndef ALLOCMARK_SAY_H
#define ALLOCMARK_SAY_H

#include <allocmark/backend.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/** Write one line for a person, over what `error` held before; cut off where there is no more room. */
__attribute__((format(printf, 2, 3))) static inline void allocmark_say(allocmark_error *error,
                                                                       const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}

/** Emit a fact that is a number. */
static inline void allocmark_emit_number(allocmark_fact_fn emit, void *context, const char *key,
                                         uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    emit(context, key, text);
}

#endif
