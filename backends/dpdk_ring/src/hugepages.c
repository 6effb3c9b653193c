/* SPDX-License-Identifier: BSD-3-Clause */
#include "hugepages.h"

#include "dpdk_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FOLDER "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define LIMIT FOLDER "nr_overcommit_hugepages"

enum { PAGE_MB = 2 };
static const uint64_t PAGE = (uint64_t)PAGE_MB << 20;

static atomic_uint_fast64_t reserved_pages;

static uint64_t read_number(const char *path) {
    uint64_t value = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%" SCNu64, &value) != 1) value = 0;
    fclose(file);
    return value;
}

static int write_limit(uint64_t value) {
    char text[24];
    const int length = snprintf(text, sizeof text, "%" PRIu64, value);
    const int file = open(LIMIT, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    const int result = write(file, text, length) == length ? 0 : -errno;
    close(file);
    return result;
}

uint64_t memory_available(void) {
    uint64_t kilobytes = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1) break;
    fclose(file);
    return kilobytes << 10;
}

/** Raise the limit so that `pages` can be mapped, of which `free` exist already. */
static int raise_limit(struct hugepage_window *window, uint64_t pages, uint64_t free,
                       allocmark_error *error) {
    const uint64_t unused = window->limit > window->surplus ? window->limit - window->surplus : 0;
    const uint64_t missing = pages > free ? pages - free : 0;
    /* What DPDK maps beside the objects is known to DPDK only. A limit that is too high costs nothing. */
    const uint64_t generous = 2 * pages + 32;
    if (free + unused >= generous) return 0;

    const uint64_t available = memory_available();
    if (available != 0 && missing > available / PAGE) {
        say(error,
            "%" PRIu64 " MB of huge pages are needed, and %" PRIu64 " MB of memory are available: ask for a "
            "smaller pool",
            pages * PAGE_MB, (available >> 20) + free * PAGE_MB);
        return -ENOMEM;
    }
    const int refused = write_limit(window->surplus + generous);
    window->raised = refused == 0;
    if (window->raised || free + unused >= pages) return 0;

    say(error,
        "%" PRIu64 " huge pages of 2 MB are needed and %" PRIu64
        " are free; raising the limit failed (%s): run "
        "`echo %" PRIu64 " > /proc/sys/vm/nr_hugepages`",
        pages, free, strerror(-refused), read_number(FOLDER "nr_hugepages") + missing + 16);
    return -EPERM;
}

int hugepages_open(struct hugepage_window *window, uint64_t bytes, allocmark_error *error) {
    memset(window, 0, sizeof *window);
    window->lock = open(LIMIT, O_RDONLY | O_CLOEXEC);
    if (window->lock < 0) {
        say(error, "%s: %s: the kernel has no huge pages of 2 MB; use a variant with base pages", LIMIT,
            strerror(errno));
        return -ENOTSUP;
    }
    /* A signal that ends the process waits until the limit is put back. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &window->signals);
    while (flock(window->lock, LOCK_EX) != 0 && errno == EINTR) {
    }

    window->limit = read_number(LIMIT);
    window->surplus = read_number(FOLDER "surplus_hugepages");
    const uint64_t idle = read_number(FOLDER "free_hugepages"),
                   promised = read_number(FOLDER "resv_hugepages");
    const int result = raise_limit(window, bytes / PAGE + 1, idle > promised ? idle - promised : 0, error);
    if (result != 0) hugepages_close(window);
    return result;
}

void hugepages_close(struct hugepage_window *window) {
    const uint64_t surplus = read_number(FOLDER "surplus_hugepages");
    if (surplus > window->surplus) reserved_pages += surplus - window->surplus;
    if (window->raised) write_limit(window->limit);
    close(window->lock); /* unlocks */
    pthread_sigmask(SIG_SETMASK, &window->signals, NULL);
}

uint64_t hugepages_reserved_mb(void) {
    return reserved_pages * PAGE_MB;
}
