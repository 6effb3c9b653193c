// SPDX-License-Identifier: BSD-3-Clause
/** Classes that allocmark/backend.hpp refuses, each with a sentence. This file does not compile. */
#include <allocmark/backend.hpp>

struct Nothing {};
struct KeepsAll {
    void *get();
};
struct NeverFrees {
    void *allocate(std::size_t bytes);
};
struct NotConst { // what is put is in a const array
    bool get(void **objects, std::uint32_t n);
    void put(void **objects, std::uint32_t n);
};
struct Good {
    void *get();
    void put(void *object);
};
struct Unmakeable : Good {
    explicit Unmakeable(int objects);
};
struct Stays : Good {
    Good *enter(const allocmark_thread &thread);
};
struct EntersByNumber : Good {
    Good *enter(int slot);
};
struct PutsAllOf : Good {
    void put_all(int objects);
};
struct CountsInWords : Good {
    const char *available();
};
struct OneRegion : Good {
    allocmark_region regions();
};
struct FactsOfC : Good {
    void facts(allocmark_fact_fn emit, void *context);
};
struct StartsAlone : Good {
    static void init();
};

ALLOCMARK_BACKEND(nothing, Nothing)
ALLOCMARK_BACKEND(keeps_all, KeepsAll)
ALLOCMARK_BACKEND(never_frees, NeverFrees)
ALLOCMARK_BACKEND(not_const, NotConst)
ALLOCMARK_BACKEND(unmakeable, Unmakeable)
ALLOCMARK_BACKEND(stays, Stays)
ALLOCMARK_BACKEND(enters_by_number, EntersByNumber)
ALLOCMARK_BACKEND(puts_all_of, PutsAllOf)
ALLOCMARK_BACKEND(counts_in_words, CountsInWords)
ALLOCMARK_BACKEND(one_region, OneRegion)
ALLOCMARK_BACKEND(facts_of_c, FactsOfC)
ALLOCMARK_BACKEND(starts_alone, StartsAlone)
