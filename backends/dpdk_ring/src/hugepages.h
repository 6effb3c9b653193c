/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Huge pages of 2 MB, borrowed from the kernel.
 *
 * Where too few are free, the kernel's overcommit limit is raised while DPDK maps its memory. The pages that
 * are then taken are *surplus* pages: the kernel makes them when they are mapped and takes them back when
 * they are unmapped, even from a process that was killed. The limit itself is put back as soon as the memory
 * is mapped, so that nothing is left to undo at the end. The lock is the limit's own file: two processes that
 * raise and put back at the same time take turns.
 */
#ifndef ALLOCMARK_DPDK_HUGEPAGES_H
#define ALLOCMARK_DPDK_HUGEPAGES_H

#include <allocmark/backend.h>

#include <signal.h>
#include <stdbool.h>

/** A window in which huge pages may be mapped. */
struct hugepage_window {
    int lock;         /* file descriptor */
    bool raised;      /* whether the limit was */
    uint64_t limit;   /* nr_overcommit_hugepages as it was found */
    uint64_t surplus; /* surplus_hugepages as it was found */
    sigset_t signals; /* the thread's mask as it was found */
};

/**
 * Open a window in which at least `bytes` can be mapped. -ENOTSUP: the kernel has no such pages; -EPERM: too
 * few are free and the limit may not be raised; -ENOMEM: more than the memory that is available.
 */
int hugepages_open(struct hugepage_window *window, uint64_t bytes, allocmark_error *error);

/** Close it: put the limit back and count the surplus pages that were taken. */
void hugepages_close(struct hugepage_window *window);

/** MB of huge pages that the kernel made for this process so far. */
uint64_t hugepages_reserved_mb(void);

/** Bytes of memory that can be had without swapping, from the kernel's own estimate; 0: not known. */
uint64_t memory_available(void);

#endif
