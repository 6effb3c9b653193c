/* SPDX-License-Identifier: BSD-3-Clause */
/** DPDK's log goes into memory: a backend never prints, and an error message quotes the first line of it,
 * which is the cause of those that follow. */
#ifndef ALLOCMARK_DPDK_LOG_H
#define ALLOCMARK_DPDK_LOG_H

/** Take DPDK's log from here on. Returns 0 or a negative errno value. */
int log_open(void);

/** Forget what was logged so far. */
void log_clear(void);

/** The last line logged since log_clear(); "" when there is none. Valid until the next call of this module.
 */
const char *log_first_line(void);

/** Give the log back to DPDK. */
void log_close(void);

#endif
