// SPDX-License-Identifier: BSD-3-Clause
/// What the objects lie on: asked for, insisted on, read back from the kernel.
#include <turbomem/turbomem.hpp>

#include <cstdio>

int main() {
    // Transparent huge pages as far as there are any: the default.
    turbomem::pool<void> buffers({.object_size = 2'048, .objects = 8'192});
    const turbomem::page_report lies_on = buffers.memory().report();
    std::printf("%lu bytes: %lu on 2 MB pages, %lu on base pages\n", lies_on.bytes, lies_on.thp,
                lies_on.base);

    // Reserved huge pages or nothing.
    try {
        turbomem::pool<void> strict({.object_size = 2'048,
                                     .objects = 8'192,
                                     .pages = {.kind = turbomem::page_kind::hugetlb_2m, .require = true}});
        std::printf("and as many on reserved ones\n");
    } catch (const turbomem::error &refusal) {
        std::printf("refused: %s\n", refusal.what());
    }

    // After something split the pages (a fork, say), put them together again.
    const turbomem::merge_result merged = buffers.memory().remerge();
    std::printf("%s\n", merged.code == 0 ? "whole" : "not whole");
}
