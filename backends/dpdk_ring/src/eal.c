/* SPDX-License-Identifier: BSD-3-Clause */
/** Starting and stopping DPDK's environment layer in this process. */
#define _GNU_SOURCE
#include "dpdk_ring.h"

#include <allocmark/huge_pages.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct dpdk_process dpdk;

bool handler_is_bucket(void) {
    return strcmp(dpdk.handler, "bucket") == 0;
}

static const char *option(const allocmark_init *init, const char *key) {
    for (uint32_t i = 0; i < init->n_options; i++)
        if (strcmp(init->options[i].key, key) == 0) return init->options[i].value;
    return "";
}

/** The CPU of the main lcore: the first actor's, so that memory comes from its node. */
static int main_cpu(const allocmark_init *init, const cpu_set_t *allowed) {
    if (init->n_cpus > 0 && init->cpus[0] < CPU_SETSIZE && CPU_ISSET(init->cpus[0], allowed))
        return (int)init->cpus[0];
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, allowed)) return cpu;
    return 0;
}

/**
 * MB to reserve with --no-huge, where the memory cannot grow later. Objects of one cache line take up to four
 * times their size with header, padding and index. What is not touched takes no memory: who does not say what
 * it needs, as a recorded program, has half of what there is.
 */
static uint64_t no_huge_mb(uint64_t pool_bytes) {
    if (pool_bytes == 0) return (allocmark_available_memory() >> 21) + 256;
    return 4 * (pool_bytes >> 20) + 256;
}

/** DPDK writes its usage and fatal errors to the terminal, past its own log: a backend never prints. */
static int quiet_eal_init(int argc, char **argv) {
    fflush(NULL);
    const int output = dup(STDOUT_FILENO), errors = dup(STDERR_FILENO);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        close(nowhere);
    }
    const int result = rte_eal_init(argc, argv);
    fflush(NULL);
    if (output >= 0) {
        dup2(output, STDOUT_FILENO);
        close(output);
    }
    if (errors >= 0) {
        dup2(errors, STDERR_FILENO);
        close(errors);
    }
    return result;
}

static int run_eal(const allocmark_init *init, allocmark_error *error) {
    cpu_set_t allowed;
    pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed);

    const char *own = option(init, "driver");
    if (own[0] != '\0' && !drivers_load(own, error)) return -ENOENT;
    char lcores[32], megabytes[24], driver[4096] = "";
    snprintf(lcores, sizeof lcores, "0@%d", main_cpu(init, &allowed));
    snprintf(megabytes, sizeof megabytes, "%" PRIu64, no_huge_mb(init->pool_bytes));
    if (own[0] == '\0') drivers_find(dpdk.handler, driver, sizeof driver);

    char *argv[20];
    int argc = 0;
    argv[argc++] = "allocmark";
    argv[argc++] = "--no-pci";
    argv[argc++] = "--no-telemetry";
    argv[argc++] = "--log-level=error";
    /* With physical addresses a pool would lie in as many chunks as the machine's memory does. */
    argv[argc++] = "--iova-mode=va";
    argv[argc++] = "--lcores";
    argv[argc++] = lcores;
    if (dpdk.hugetlb) {
        argv[argc++] = "--in-memory";
    } else { /* DPDK refuses --in-memory with --no-huge; --no-shconf is the other part of it */
        argv[argc++] = "--no-huge";
        argv[argc++] = "--no-shconf";
        argv[argc++] = "-m";
        argv[argc++] = megabytes;
    }
    if (driver[0] != '\0') {
        argv[argc++] = "-d";
        argv[argc++] = driver;
    }
    argv[argc] = NULL;

    log_clear();
    const int started = quiet_eal_init(argc, argv);
    const int reason = rte_errno;
    pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed); /* DPDK pins its main lcore */
    if (started >= 0) return 0;
    allocmark_say(error, "DPDK's environment layer did not start (%s): %s", rte_strerror(reason),
                  log_first_line());
    return reason > 0 ? -reason : -EIO;
}

static int forbid_thp(const struct rte_memseg_list *list, void *unused) {
    (void)unused;
    madvise(list->base_va, list->len, MADV_NOHUGEPAGE); /* fails where the kernel has no THP: as wanted */
    return 0;
}

static int check_options(const allocmark_init *init, allocmark_error *error) {
    const char *handler = option(init, "handler"), *pages = option(init, "pages");
    if (handler[0] == '\0' || strlen(handler) >= sizeof dpdk.handler) {
        allocmark_say(error, "option handler is '%s': it must name a mempool handler, such as ring_mp_mc",
                      handler);
        return -EINVAL;
    }
    if (strcmp(pages, "hugetlb") != 0 && strcmp(pages, "base") != 0 && strcmp(pages, "thp") != 0) {
        allocmark_say(error, "option pages is '%s': it must be hugetlb, base or thp", pages);
        return -EINVAL;
    }
    snprintf(dpdk.handler, sizeof dpdk.handler, "%s", handler);
    dpdk.hugetlb = pages[0] == 'h';
    dpdk.mbufs = strcmp(option(init, "objects"), "mbuf") == 0;
    dpdk.heap = strcmp(option(init, "objects"), "heap") == 0;
    return 0;
}

static int start_with_huge_pages(const allocmark_init *init, allocmark_error *error) {
    allocmark_huge_window window;
    const uint64_t bytes = dpdk.heap ? heap_bytes(init->pool_bytes) : init->pool_bytes;
    int result = allocmark_huge_window_open(&window, bytes, error);
    if (result != 0) return result;
    result = run_eal(init, error);
    if (result == 0 && dpdk.heap) result = heap_reserve(bytes, error);
    dpdk.surplus_pages += allocmark_huge_window_close(&window);
    return result;
}

static int start_with_base_pages(const allocmark_init *init, allocmark_error *error) {
    const uint64_t available = allocmark_available_memory();
    if (available != 0 && init->pool_bytes > available) {
        allocmark_say(error,
                      "%" PRIu64 " MB of objects, and %" PRIu64
                      " MB of memory are available: ask for a smaller pool",
                      init->pool_bytes >> 20, available >> 20);
        return -ENOMEM;
    }
    const int result = run_eal(init, error);
    if (result == 0) rte_memseg_list_walk(forbid_thp, NULL);
    return result;
}

static int check_driver(const allocmark_init *init, allocmark_error *error) {
    if (!drivers_have(dpdk.handler)) {
        allocmark_say(error, "DPDK here has no mempool handler '%s': install the mempool drivers of DPDK",
                      dpdk.handler);
        return -ENOENT;
    }
    if (strcmp(option(init, "pages"), "thp") != 0) return 0;
    dpdk.populate_thp = drivers_populate_thp(option(init, "driver"));
    if (dpdk.populate_thp != NULL) return 0;
    allocmark_say(error, "option driver is '%s': pages thp needs TurboMem's driver", option(init, "driver"));
    return -ENOENT;
}

int eal_start(const allocmark_init *init, allocmark_error *error) {
    if (dpdk.started) {
        allocmark_say(error, "DPDK's environment layer can start once per process: start another process");
        return -EALREADY;
    }
    int result = check_options(init, error);
    if (result != 0) return result;
    result = log_open();
    if (result != 0) {
        allocmark_say(error, "no memory for DPDK's log: %s", strerror(-result));
        return result;
    }
    result = dpdk.hugetlb ? start_with_huge_pages(init, error) : start_with_base_pages(init, error);
    if (result != 0) {
        log_close();
        return result;
    }
    dpdk.started = true;
    dpdk.main_lcore = rte_get_main_lcore();
    result = check_driver(init, error);
    if (result != 0) eal_stop();
    return result;
}

void eal_stop(void) {
    rte_eal_cleanup();
    log_close();
}
