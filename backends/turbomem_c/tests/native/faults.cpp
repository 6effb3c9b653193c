// SPDX-License-Identifier: BSD-3-Clause
/// One fault, chosen by name, that AddressSanitizer or Valgrind has to report at the very access.
#include "check.hpp"
#include "turbomem/checking.hpp"
#include "turbomem/pool.hpp"

#include <cstdio>
#include <cstring>
#include <string>

using namespace turbomem;

namespace {

struct item {
    volatile char bytes[40];
};

/// A byte of or around an object, by a distance that the compiler does not know.
volatile char &byte(item *o, int offset) {
    volatile int at = offset;
    return reinterpret_cast<volatile char *>(o)[at];
}

using checked_pool = pool<item, checking::checked<>, threads::single>;

void fault(const std::string &name) {
    checked_pool p({.objects = 20, .pages = {.kind = page_kind::base}});
    item *const before = p.allocate();
    item *const o = p.allocate();
    o->bytes[0] = 1;
    if (name == "none") {
        p.deallocate(o);
    } else if (name == "read_after_put") {
        p.deallocate(o);
        std::printf("%d\n", byte(o, 3));
    } else if (name == "write_after_put") {
        p.deallocate(o);
        byte(o, 3) = 1;
    } else if (name == "write_behind") {
        byte(o, 40) = 1;
    } else if (name == "write_before") {
        byte(before < o ? o : before, -1) = 1;
    } else if (name == "read_uninitialised") {
        if (byte(o, 7) == 3) std::puts("three");
    } else {
        CHECK(!"a fault of that name");
    }
    // The tool has reported by now; what the pool itself finds is not what is looked at here.
    std::fflush(stdout);
    std::_Exit(0);
}

/// What only an object of a pool points to is no leak.
void memory_that_an_object_owns() {
    static auto &strings = *new pool<std::string>({.objects = 20, .pages = {.kind = page_kind::base}});
    for (int i = 0; i < 10; ++i) (void)strings.create(1000, 'x');
}

} // namespace

int main(int argc, char **argv) {
    const std::string name = argc > 1 ? argv[1] : "none";
    if (name == "owned_memory")
        memory_that_an_object_owns();
    else
        fault(name);
}
