/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Borrows huge pages of 2 MB from the kernel while a backend maps its memory. For C and C++.
 *
 * If too few are free, the kernel's limit of surplus pages (nr_overcommit_hugepages) is raised, and put back
 * as soon as the memory is mapped. The kernel makes a surplus page when it is mapped, and takes it back when
 * it is unmapped, even from a process that was killed: nothing is left to undo. Processes that do this at the
 * same time take turns by a lock on the limit's own file.
 */
#ifndef ALLOCMARK_HUGE_PAGES_H
#define ALLOCMARK_HUGE_PAGES_H

#include <allocmark/say.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { ALLOCMARK_HUGE_PAGE_MB = 2 };

#define ALLOCMARK_HUGE_PAGE_LIMIT "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages"

/** While it is open, huge pages can be mapped. */
typedef struct allocmark_huge_window {
    int file;         /* the limit's, locked */
    int raised;       /* whether the limit was raised */
    uint64_t limit;   /* as it was found */
    uint64_t surplus; /* surplus pages when it was opened */
    sigset_t signals; /* the thread's mask as it was found */
} allocmark_huge_window;

/** The kernel's count of huge pages of that name: "free", "resv", "surplus", "nr" or "nr_overcommit". */
static inline uint64_t allocmark_huge_pages(const char *name) {
    char path[96];
    uint64_t count = 0;
    snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-2048kB/%s_hugepages", name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%" SCNu64, &count) != 1) count = 0;
    fclose(file);
    return count;
}

/** Bytes of memory that can be had without swapping, by the kernel's own estimate; 0: not known. */
static inline uint64_t allocmark_available_memory(void) {
    uint64_t kilobytes = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1) break;
    fclose(file);
    return kilobytes << 10;
}

/** Write the limit of surplus pages. Returns 0 or an errno value. */
static inline int allocmark_huge_limit_write(int file, uint64_t pages) {
    char text[24];
    const int length = snprintf(text, sizeof text, "%" PRIu64, pages);
    return pwrite(file, text, (size_t)length, 0) == length ? 0 : errno;
}

/** Close the window: put the limit back. Returns how many surplus pages the kernel made meanwhile. */
static inline uint64_t allocmark_huge_window_close(allocmark_huge_window *window) {
    const uint64_t surplus = allocmark_huge_pages("surplus");
    if (window->raised) allocmark_huge_limit_write(window->file, window->limit);
    close(window->file); /* unlocks */
    pthread_sigmask(SIG_SETMASK, &window->signals, NULL);
    return surplus > window->surplus ? surplus - window->surplus : 0;
}

/**
 * Open a window in which at least `bytes` can be mapped. Returns 0 or a negative errno value, and then
 * `error` says why: -ENOTSUP, the kernel has no such pages; -EPERM, too few are free and the limit may not be
 * raised; -ENOMEM, more than the memory that is available.
 */
static inline int allocmark_huge_window_open(allocmark_huge_window *window, uint64_t bytes,
                                             allocmark_error *error) {
    const uint64_t page = (uint64_t)ALLOCMARK_HUGE_PAGE_MB << 20, wanted = bytes / page + 1;
    memset(window, 0, sizeof *window);
    window->file = open(ALLOCMARK_HUGE_PAGE_LIMIT, O_RDWR | O_CLOEXEC);
    int refused = window->file < 0 ? errno : 0;
    if (refused) window->file = open(ALLOCMARK_HUGE_PAGE_LIMIT, O_RDONLY | O_CLOEXEC);
    if (window->file < 0) {
        allocmark_say(error, "the kernel has no huge pages of 2 MB (%s: %s): use a variant with other pages",
                      ALLOCMARK_HUGE_PAGE_LIMIT, strerror(errno));
        return -ENOTSUP;
    }
    /* A signal that ends the process waits until the limit is put back. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &window->signals);
    while (flock(window->file, LOCK_EX) != 0 && errno == EINTR) {
    }

    window->limit = allocmark_huge_pages("nr_overcommit");
    window->surplus = allocmark_huge_pages("surplus");
    const uint64_t free_pages = allocmark_huge_pages("free"), promised = allocmark_huge_pages("resv");
    const uint64_t idle = free_pages > promised ? free_pages - promised : 0;
    const uint64_t unused = window->limit > window->surplus ? window->limit - window->surplus : 0;
    const uint64_t missing = wanted > idle ? wanted - idle : 0;
    /* More may be mapped beside the objects, and others may take pages without waiting for their turn. A
     * limit that is too high costs nothing. */
    const uint64_t generous = 2 * wanted + 32;
    if (idle + unused >= generous) return 0;

    int result = 0;
    const uint64_t available = allocmark_available_memory();
    if (available != 0 && missing > available / page) {
        allocmark_say(error,
                      "%" PRIu64 " MB of huge pages are needed, and %" PRIu64
                      " MB of memory are available: ask for a smaller pool",
                      wanted * ALLOCMARK_HUGE_PAGE_MB, (available >> 20) + idle * ALLOCMARK_HUGE_PAGE_MB);
        result = -ENOMEM;
    } else {
        if (!refused) refused = allocmark_huge_limit_write(window->file, window->surplus + generous);
        window->raised = !refused;
        if (refused && idle + unused < wanted) {
            allocmark_say(error,
                          "%" PRIu64 " huge pages of 2 MB are needed and %" PRIu64
                          " are free; raising the limit failed (%s): run `echo %" PRIu64
                          " | sudo tee /proc/sys/vm/nr_hugepages`",
                          wanted, idle, strerror(refused), allocmark_huge_pages("nr") + missing + 16);
            result = -EPERM;
        }
    }
    if (result != 0) allocmark_huge_window_close(window);
    return result;
}

#endif
