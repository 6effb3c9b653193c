// SPDX-License-Identifier: BSD-3-Clause
/// A pool that finds misuse: for tests, at the price of a look at each object.
#include <turbomem/turbomem.hpp>

#include <cstdio>

int main() {
    turbomem::pool<long, turbomem::checking::checked<>> numbers({.objects = 100});
    auto mine = numbers.enter();

    long *n = mine.create(42);
    mine.destroy(n);
    try {
        mine.deallocate(n); // again
    } catch (const turbomem::misuse &found) {
        std::printf("found: %s\n", found.what());
        return 0;
    }
    return 1;
}
