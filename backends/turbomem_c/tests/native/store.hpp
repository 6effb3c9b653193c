// SPDX-License-Identifier: BSD-3-Clause
/// Memory and an exchange that starts with every object of it: what a pool is without its policies.
#pragma once

#include "turbomem/exchange/exchange.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/options.hpp"

#include <cstdint>

class store {
  public:
    explicit store(const turbomem::pool_options &options)
        : options_(options), layout_(possible(options)), memory_(layout_.bytes, options.pages),
          exchange_(of_exchange(options)) {
        exchange_.stock(memory_.data(), layout_.stride, options.objects);
    }

    turbomem::cache &enter(std::uint32_t slot) { return exchange_.enter(slot); }
    void leave(turbomem::cache &c) noexcept { exchange_.leave(c); }
    std::uint64_t available() const noexcept { return exchange_.available(); }
    turbomem::depot::census census() const noexcept { return exchange_.census(); }
    turbomem::depot_counters counters() const noexcept { return exchange_.counters(); }
    std::uint32_t magazines() const noexcept { return exchange_.magazines(); }
    std::uint64_t cache_limit() const noexcept { return exchange_.cache_limit(); }
    const turbomem::pool_options &options() const noexcept { return options_; }
    const turbomem::mapping &region() const noexcept { return memory_; }
    turbomem::exchange &exchange() noexcept { return exchange_; }

  private:
    static turbomem::exchange_options of_exchange(const turbomem::pool_options &o) {
        return {
            .objects = o.objects, .magazine = o.magazine, .max_threads = o.max_threads, .caching = o.caching};
    }
    /// What is impossible is said before memory is asked for.
    static const turbomem::pool_options &possible(const turbomem::pool_options &o) {
        const turbomem::object_layout layout(o);
        (void)turbomem::exchange::bytes_for(of_exchange(o));
        turbomem::require_memory(layout.bytes);
        return o;
    }

    turbomem::pool_options options_;
    turbomem::object_layout layout_;
    turbomem::mapping memory_;
    turbomem::exchange exchange_;
};
