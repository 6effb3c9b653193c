/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Audits: the acceptance kit's direct checks of a backend's table, without a workload. A process does one.
 */
#ifndef ALLOCMARK_AUDIT_H
#define ALLOCMARK_AUDIT_H

#include <stdint.h>

#include "allocmark/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct am_audit {
    const char *check; /* see am_audit_run */
    const void *table; /* allocmark_backend */
    const allocmark_option *options;
    uint32_t n_options;
    uint32_t threads;      /* most that use a pool at once */
    uint32_t any_size;     /* an allocator that counts no objects */
    uint32_t thread_safe;  /* several threads may use a pool at once */
    uint32_t cross_thread; /* an object may be put by another thread than the one that got it */
    uint64_t least_ns;     /* contention and one_way look for rare faults at least so long */
    uint64_t least_calls;  /* and for at least so many calls */
} am_audit;

typedef enum am_verdict { AM_SOUND, AM_FAULT, AM_NOT_SERVED } am_verdict;

/**
 * Starts the backend, does the check with the name `check`, and ends
 * the backend. `*calls` is how many gets and puts were checked. AM_FAULT: `found` says what is wrong.
 * AM_NOT_SERVED: a pool or a thread was refused, `found` is the backend's reason. After either the process
 * must end: threads may still be inside the backend.
 */
am_verdict am_audit_run(const am_audit *audit, uint64_t *calls, allocmark_error *found);

#ifdef __cplusplus
}
#endif

#endif
