/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "dpdk_ring.h"

#include <rte_eal.h>

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** The driver is named after the family of its handlers: ring_mp_mc is in librte_mempool_ring. */
static const char *family(const char *handler) {
    if (strstr(handler, "stack") != NULL) return "stack";
    return strncmp(handler, "ring", 4) == 0 ? "ring" : handler;
}

void drivers_find(const char *handler, char *path, size_t size) {
    path[0] = '\0';
#ifdef RTE_EAL_PMD_PATH
    if (access(RTE_EAL_PMD_PATH, R_OK | X_OK) == 0) return; /* DPDK loads all that is there */
#endif
    Dl_info eal;
    if (dladdr((const void *)(uintptr_t)rte_eal_init, &eal) == 0) return;
    const char *slash = strrchr(eal.dli_fname, '/');
    char pattern[4096];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%.*s/dpdk/pmds-*/librte_mempool_%s.so*",
             slash ? (int)(slash - eal.dli_fname) : 1, slash ? eal.dli_fname : ".", family(handler));
    if (glob(pattern, 0, NULL, &found) != 0) return;
    snprintf(path, size, "%s", found.gl_pathv[0]);
    globfree(&found);
}

bool drivers_load(const char *path, allocmark_error *error) {
    if (dlopen(path, RTLD_NOW) != NULL) return true; /* until the process ends, as DPDK's own */
    allocmark_say(error, "the driver does not load: %s", dlerror());
    return false;
}

int (*drivers_populate_thp(const char *path))(struct rte_mempool *) {
    void *driver = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (driver == NULL) return NULL;
    int (*populate)(struct rte_mempool *) = NULL;
    *(void **)&populate = dlsym(driver, "turbomem_dpdk_populate_thp"); /* as POSIX shows it */
    dlclose(driver);                                                   /* drivers_load holds it */
    return populate;
}

bool drivers_have(const char *handler) {
    for (uint32_t i = 0; i < rte_mempool_ops_table.num_ops; i++)
        if (strcmp(rte_mempool_ops_table.ops[i].name, handler) == 0) return true;
    return false;
}
