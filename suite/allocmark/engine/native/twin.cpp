// SPDX-License-Identifier: BSD-3-Clause
/**
 * Twins of a backend differ in nothing but what is planted. So they show what the harness finds, and whether
 * it finds something where there is nothing. The pool's handles are the original's own, and so are all
 * functions but three.
 */
#include <allocmark/say.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include "backend_table.hpp"
#include "engine.h"

namespace {

// One of so many calls is lengthened: a hundredth of a short call is less than an instruction.
constexpr uint32_t kCalls = 64;

// Of the one engine in this process; written before any other thread calls.
allocmark_backend original;
uint32_t planted = 0;

// With the usual model each access would call a function.
thread_local uint32_t calls [[gnu::tls_model("initial-exec")]] = 0;

/** Zero, after what is planted. What depends on it has to wait: the processor could overlap anything else. */
size_t late() {
    size_t zero = 0;
    if (++calls % kCalls) return zero;
    for (uint32_t i = 0; i < planted; ++i) {
        asm volatile("" : "+r"(zero)); // the compiler no longer knows what it is
        zero *= 5;
    }
    return zero;
}

int get_bulk(void *pool, void *local, void **objects, uint32_t n) {
    return original.get_bulk(pool, local, objects + late(), n);
}

void put_bulk(void *pool, void *local, void *const *objects, uint32_t n) {
    original.put_bulk(pool, local, objects + late(), n);
}

template <class Number> bool read(const char *text, Number &number) {
    const char *end = text + std::strlen(text);
    const auto [rest, problem] = std::from_chars(text, end, number);
    return problem == std::errc() && rest == end;
}

int init(const allocmark_init *given, allocmark_error *error) {
    uintptr_t table = 0;
    planted = 0;
    bool understood = true;
    std::vector<allocmark_option> others;
    for (uint32_t i = 0; i < given->n_options; ++i) {
        const allocmark_option &option = given->options[i];
        const std::string_view key = option.key;
        if (key == "twin.table")
            understood &= read(option.value, table);
        else if (key == "twin.planted")
            understood &= read(option.value, planted);
        else
            others.push_back(option);
    }
    if (!understood || table == 0) {
        allocmark_say(error, "a twin needs twin.table, the address of a table, and twin.planted, a number");
        return -EINVAL;
    }
    original = allocmark::table_of(reinterpret_cast<const void *>(table));
    allocmark_init passed = *given;
    passed.options = others.data();
    passed.n_options = uint32_t(others.size());
    return original.init(&passed, error);
}

} // namespace

extern "C" const void *am_twin_table(const void *address) {
    auto *twin = new allocmark_backend(allocmark::table_of(address));
    twin->size = sizeof *twin;
    twin->init = init;
    twin->get_bulk = get_bulk;
    twin->put_bulk = put_bulk;
    return twin;
}
