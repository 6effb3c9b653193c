// SPDX-License-Identifier: BSD-3-Clause
/// What is true of every pool at rest.
#pragma once

#include "check.hpp"
#include "store.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

/// No thread is entered: every object and every magazine is in the depot, and few magazines are partly
/// filled.
inline void check_at_rest(const store &p) {
    const turbomem::depot::census c = p.census();
    CHECK(c.objects == p.options().objects);
    CHECK(c.full + c.partial + c.empty == p.magazines());
    CHECK(c.partial <= p.options().max_threads);
}

/// Take the whole pool: every object is there once, aligned, inside the region, and overlaps no other.
inline void check_every_object(store &p) {
    turbomem::cache &c = p.enter(0);
    std::vector<void *> all(p.options().objects);
    CHECK(c.get_bulk(all.data(), static_cast<std::uint32_t>(all.size())));
    CHECK(p.available() == 0);

    std::vector<std::uintptr_t> addresses;
    for (void *object : all) addresses.push_back(reinterpret_cast<std::uintptr_t>(object));
    std::sort(addresses.begin(), addresses.end());
    const auto begin = reinterpret_cast<std::uintptr_t>(p.region().data());
    CHECK(addresses.front() >= begin);
    CHECK(addresses.back() + p.options().object_size <= begin + p.region().size());
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        CHECK(addresses[i] % p.options().alignment == 0);
        if (i != 0) CHECK(addresses[i] - addresses[i - 1] >= p.options().object_size);
    }

    c.put_bulk(all.data(), static_cast<std::uint32_t>(all.size()));
    p.leave(c);
    check_at_rest(p);
}
