// SPDX-License-Identifier: BSD-3-Clause
/// What a pool costs when one core gets and another puts: nanoseconds per object, bulks of 32, for
///
///     nothing   the hand-over alone: the getting core has objects of its own
///     queue     a second queue takes the pointers back: what any way home costs at least that moves them
///     exchange  the exchange, with magazines of 128, 256 and 512
///
/// `hold` is what the putting core keeps and releases in random order.
///
///     python samples.py one_way
#include "common.hpp"
#include "turbomem/exchange/exchange.hpp"
#include "turbomem/system/threads.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr std::uint32_t bulk = 32, objects = 65'535, stride = 2'176;
constexpr std::uint64_t bulks_a_sample = 20'000, warm_up = 4'000;

/// One sender, one receiver, bulks; each end remembers how far it saw the other.
template <std::uint32_t Capacity> class queue {
  public:
    bool send(void *const *from) noexcept {
        const std::uint64_t at = tail_.load(std::memory_order_relaxed);
        if (at + bulk - seen_head_ > Capacity) {
            seen_head_ = head_.load(std::memory_order_acquire);
            if (at + bulk - seen_head_ > Capacity) return false;
        }
        std::memcpy(&slots_[at % Capacity], from, bulk * sizeof(void *));
        tail_.store(at + bulk, std::memory_order_release);
        return true;
    }
    bool receive(void **to) noexcept {
        const std::uint64_t at = head_.load(std::memory_order_relaxed);
        if (seen_tail_ - at < bulk) {
            seen_tail_ = tail_.load(std::memory_order_acquire);
            if (seen_tail_ - at < bulk) return false;
        }
        std::memcpy(to, &slots_[at % Capacity], bulk * sizeof(void *));
        head_.store(at + bulk, std::memory_order_release);
        return true;
    }

  private:
    static_assert(Capacity % bulk == 0);
    alignas(128) std::atomic<std::uint64_t> tail_{0};
    std::uint64_t seen_head_ = 0;
    alignas(128) std::atomic<std::uint64_t> head_{0};
    std::uint64_t seen_tail_ = 0;
    alignas(128) std::array<void *, Capacity> slots_{};
};

/// The ways home. Each is constructed for a sample, with every object in it.
class nothing {
  public:
    explicit nothing(std::byte *memory) {
        for (std::uint32_t i = 0; i < own_.size(); ++i) own_[i] = memory + std::size_t{i} * stride;
    }
    void enter_getting() {}
    void enter_putting() {}
    void get(void **to) noexcept {
        std::memcpy(to, &own_[next_], bulk * sizeof(void *));
        next_ = (next_ + bulk) % own_.size();
    }
    void put(void *const *) noexcept {}

  private:
    std::array<void *, 4096> own_{};
    std::size_t next_ = 0;
};

class by_queue {
  public:
    explicit by_queue(std::byte *memory) {
        std::array<void *, bulk> some{};
        for (std::uint32_t i = 0; i + bulk <= 4096; i += bulk) {
            for (std::uint32_t k = 0; k < bulk; ++k) some[k] = memory + std::size_t{i + k} * stride;
            home_.send(some.data());
        }
    }
    void enter_getting() {}
    void enter_putting() {}
    void get(void **to) noexcept {
        while (!home_.receive(to)) sched_yield();
    }
    void put(void *const *from) noexcept {
        while (!home_.send(from)) sched_yield();
    }

  private:
    queue<4096> home_;
};

template <std::uint32_t Magazine> class by_exchange {
  public:
    explicit by_exchange(std::byte *memory)
        : ex_({.objects = objects, .magazine = Magazine, .max_threads = 2}) {
        ex_.stock(memory, stride, objects);
    }
    void enter_getting() { gets_ = &ex_.enter(0); }
    void enter_putting() { puts_ = &ex_.enter(1); }
    void get(void **to) noexcept {
        while (!gets_->get_bulk(to, bulk)) sched_yield();
    }
    void put(void *const *from) noexcept { puts_->put_bulk(from, bulk); }

  private:
    turbomem::exchange ex_;
    turbomem::cache *gets_ = nullptr, *puts_ = nullptr;
};

template <class Home> double sample(std::byte *memory, std::uint32_t hold) {
    auto home = std::make_unique<Home>(memory);
    auto wire = std::make_unique<queue<1024>>();
    double took = 0;
    std::thread getting([&] {
        const turbomem::pin here(0);
        home->enter_getting();
        std::array<void *, bulk> some{};
        for (std::uint64_t i = 0; i < bulks_a_sample + warm_up; ++i) {
            home->get(some.data());
            while (!wire->send(some.data())) {
            }
        }
    });
    std::thread putting([&] {
        const turbomem::pin here(1);
        home->enter_putting();
        std::vector<std::uint32_t> random(1 << 14); // drawn before the clock starts
        std::mt19937 engine(1);
        for (std::uint32_t &x : random) x = hold == 0 ? 0 : engine() % (hold - bulk);
        std::vector<void *> held(1 << 15);
        std::size_t first = 0, last = 0, drawn = 0;
        std::chrono::steady_clock::time_point start;
        for (std::uint64_t i = 0; i < bulks_a_sample + warm_up; ++i) {
            if (i == warm_up) start = std::chrono::steady_clock::now();
            if (last + bulk > held.size()) {
                std::copy(held.begin() + static_cast<std::ptrdiff_t>(first),
                          held.begin() + static_cast<std::ptrdiff_t>(last), held.begin());
                last -= std::exchange(first, 0);
            }
            while (!wire->receive(&held[last])) {
            }
            last += bulk;
            if (last - first <= hold) continue;
            for (std::uint32_t k = 0; hold != 0 && k < bulk; ++k)
                std::swap(held[first + k], held[first + k + random[drawn++ % (1 << 14)]]);
            home->put(&held[first]);
            first += bulk;
            if (first == last) first = last = 0;
        }
        const std::chrono::duration<double, std::nano> t = std::chrono::steady_clock::now() - start;
        took = t.count() / static_cast<double>(bulks_a_sample * bulk);
    });
    getting.join();
    putting.join();
    return took;
}

} // namespace

int main(int argc, char **argv) {
    const int round = round_of(argc, argv);
    auto memory = std::make_unique<std::byte[]>(std::size_t{objects} * stride);
    struct way {
        const char *name;
        double (*sample)(std::byte *, std::uint32_t);
    };
    const way ways[] = {{"nothing", sample<nothing>},
                        {"queue", sample<by_queue>},
                        {"exchange-128", sample<by_exchange<128>>},
                        {"exchange-256", sample<by_exchange<256>>},
                        {"exchange-512", sample<by_exchange<512>>}};
    for (std::uint32_t hold : {0u, 2048u}) {
        for (std::size_t i = 0; i < std::size(ways); ++i) {
            const way &w = ways[(i + static_cast<std::size_t>(round)) % std::size(ways)];
            std::printf("%d %s/hold=%u %.5f\n", round, w.name, hold, w.sample(memory.get(), hold));
        }
    }
}
