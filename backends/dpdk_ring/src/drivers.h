/* SPDX-License-Identifier: BSD-3-Clause */
/** Where the shared objects with the mempool handlers are. */
#ifndef ALLOCMARK_DPDK_DRIVERS_H
#define ALLOCMARK_DPDK_DRIVERS_H

#include <allocmark/backend.h>

#include <stdbool.h>
#include <stddef.h>

struct rte_mempool;

/**
 * Write to `path` what DPDK must be given with -d so that `handler` is loaded; "" when it finds its drivers
 * by itself, which is so wherever DPDK still lies where it was installed.
 */
void drivers_find(const char *handler, char *path, size_t size);

/**
 * Load a driver that is not DPDK's; its handlers are registered by that. Not with -d: DPDK refuses files
 * below a folder that everyone may write to, as a tree under a temporary folder is. False: `error` says why.
 */
bool drivers_load(const char *path, allocmark_error *error);

/**
 * TurboMem's function that puts a mempool on transparent huge pages, from the driver at `path`, which
 * drivers_load has loaded; NULL: it has not, or that is not TurboMem's.
 */
int (*drivers_populate_thp(const char *path))(struct rte_mempool *);

/** Whether DPDK knows the handler; true only once its driver is loaded. */
bool drivers_have(const char *handler);

#endif
