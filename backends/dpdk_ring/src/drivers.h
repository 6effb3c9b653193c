/* SPDX-License-Identifier: BSD-3-Clause */
/** Where the shared objects with the mempool handlers are. */
#ifndef ALLOCMARK_DPDK_DRIVERS_H
#define ALLOCMARK_DPDK_DRIVERS_H

#include <allocmark/backend.h>

#include <stdbool.h>
#include <stddef.h>

struct rte_mempool;

/**
 * Write to `path` the file that DPDK must be given with -d so that `handler` is loaded. "" when DPDK finds
 * its drivers by itself, as it does where it was not moved since it was installed.
 */
void drivers_find(const char *handler, char *path, size_t size);

/**
 * Load a driver that is not DPDK's own, which registers its handlers. Not with -d, since DPDK refuses files
 * in folders that everyone may write to, such as temporary ones. False: `error` says why.
 */
bool drivers_load(const char *path, allocmark_error *error);

/**
 * TurboMem's function that puts a mempool on transparent huge pages, from the driver at `path`. NULL when
 * drivers_load has not loaded it, or it is another driver.
 */
int (*drivers_populate_thp(const char *path))(struct rte_mempool *);

/** Whether DPDK knows the handler; true only once its driver is loaded. */
bool drivers_have(const char *handler);

#endif
