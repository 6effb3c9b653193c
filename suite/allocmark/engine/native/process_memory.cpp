// SPDX-License-Identifier: BSD-3-Clause
#include "process_memory.hpp"

#include <dirent.h>
#include <malloc.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>

namespace allocmark {

namespace {

using File = std::unique_ptr<FILE, int (*)(FILE *)>;

File opened(const char *path) {
    return {fopen(path, "re"), fclose};
}

uint64_t open_files() {
    uint64_t n = 0;
    DIR *const folder = opendir("/proc/self/fd");
    if (!folder) return 0;
    while (readdir(folder)) ++n;
    closedir(folder);
    return n;
}

uint64_t heap_in_use() {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    const struct mallinfo2 found = mallinfo2();
    return found.uordblks + found.hblkhd;
#else
    return 0;
#endif
}

} // namespace

ProcessMemory ProcessMemory::now() {
    ProcessMemory found;
    found.heap = heap_in_use(); // before the files below take buffers
    found.files = open_files();
    const File status = opened("/proc/self/status");
    char line[256];
    uint64_t kb;
    while (status && fgets(line, sizeof line, status.get())) {
        if (sscanf(line, "VmSize: %" SCNu64, &kb) == 1) found.mapped = kb << 10;
        if (sscanf(line, "VmRSS: %" SCNu64, &kb) == 1) found.resident = kb << 10;
        if (sscanf(line, "HugetlbPages: %" SCNu64, &kb) == 1) found.hugetlb = kb << 10;
    }
    found.resident += found.hugetlb;
    return found;
}

uint64_t ProcessMemory::growth(const ProcessMemory &before) const {
    const auto more = [](uint64_t after, uint64_t earlier) { return after > earlier ? after - earlier : 0; };
    return std::max(more(mapped, before.mapped), more(resident, before.resident));
}

uint64_t resident_bytes() {
    return ProcessMemory::now().resident;
}

} // namespace allocmark
