// SPDX-License-Identifier: BSD-3-Clause
/// Objects of one type, made and ended by whichever thread, through no handle at all.
#include <turbomem/turbomem.hpp>

#include <cstdio>
#include <thread>

struct order {
    long number;
    double price;
};

int main() {
    turbomem::pool<order, turbomem::threads::per_thread> orders({.objects = 10'000});

    auto mine = orders.make(1, 99.5); // a std::unique_ptr: gives the order back by itself
    order *handed_over = orders.create(2, 101.25);

    std::thread other([&] { orders.destroy(handed_over); }); // any thread may give it back
    other.join();

    std::printf("order %ld, %lu of %lu left\n", mine->number, orders.available(), orders.options().objects);
}
