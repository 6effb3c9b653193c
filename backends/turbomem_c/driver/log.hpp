// SPDX-License-Identifier: BSD-3-Clause
/// What the driver has to say goes to DPDK's log, as pmd.mempool.turbomem.
#pragma once

#include <rte_log.h>

namespace turbomem::dpdk {

extern int log_type; ///< registered when the library is loaded

} // namespace turbomem::dpdk

#define TURBOMEM_LOG(level, format, ...)                                                                     \
    rte_log(RTE_LOG_##level, turbomem::dpdk::log_type, "turbomem: " format "\n" __VA_OPT__(, ) __VA_ARGS__)
