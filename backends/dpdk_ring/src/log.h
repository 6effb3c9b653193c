/* SPDX-License-Identifier: BSD-3-Clause */
/** Keeps DPDK's log in memory: a backend never prints. Error messages quote its first line, which names the
 * cause of the lines that follow. */
#ifndef ALLOCMARK_DPDK_LOG_H
#define ALLOCMARK_DPDK_LOG_H

/** Take DPDK's log from here on. Returns 0 or a negative errno value. */
int log_open(void);

/** Forget what was logged so far. */
void log_clear(void);

/** The first line since log_clear(); "" when there is none. Valid until the next call of a function here. */
const char *log_first_line(void);

/** Give the log back to DPDK. */
void log_close(void);

#endif
