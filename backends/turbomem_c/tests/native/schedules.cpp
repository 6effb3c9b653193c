// SPDX-License-Identifier: BSD-3-Clause
/// Every schedule of a few calls with a bounded number of preemptions: threads are coroutines that may be
/// switched at each marked point of the library, so each interleaving of its steps is run, again and again,
/// in one thread and in a known order. What it does not show is the processor's reordering of memory
/// accesses; the library's comments argue about that, and the stress program runs it.
#include <functional>
#include <string_view>

namespace {
void point(std::string_view name);
}
#define TURBOMEM_POINT(name) point(#name)

#include "check.hpp"
#include "turbomem/exchange/exchange.hpp"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace turbomem;

namespace {

/// Runs coroutines under one schedule after the other: depth first over all choices of whom to run at a
/// point, with at most `preemptions` switches away from one that could have gone on.
class scheduler {
  public:
    explicit scheduler(unsigned preemptions) : preemptions_(preemptions) {}

    /// Prepare the next schedule: false when all were run.
    bool next() {
        if (!first_) {
            while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().of) choices_.pop_back();
            if (choices_.empty()) return false;
            ++choices_.back().taken;
        }
        first_ = false;
        at_ = 0;
        left_ = preemptions_;
        return true;
    }

    void run(std::vector<std::function<void()>> bodies) {
        bodies_ = std::move(bodies);
        running_.assign(bodies_.size(), true);
        contexts_.resize(bodies_.size());
        while (stacks_.size() < bodies_.size()) stacks_.push_back(std::make_unique<stack>());
        for (std::size_t i = 0; i < bodies_.size(); ++i) {
            CHECK(getcontext(&contexts_[i]) == 0);
            contexts_[i].uc_stack.ss_sp = stacks_[i]->data();
            contexts_[i].uc_stack.ss_size = stacks_[i]->size();
            contexts_[i].uc_link = nullptr;
            makecontext(&contexts_[i], reinterpret_cast<void (*)()>(&scheduler::enter), 0);
        }
        active = this;
        std::vector<std::size_t> ready = others(bodies_.size());
        current_ = ready[choose(ready.size())];
        CHECK(swapcontext(&main_, &contexts_[current_]) == 0);
        active = nullptr;
    }

    /// A point: go on, or let another one run.
    void yield() {
        if (left_ == 0) return;
        const std::vector<std::size_t> ready = others(current_);
        const std::size_t choice = choose(ready.size() + 1);
        if (choice == 0) return;
        --left_;
        const std::size_t from = std::exchange(current_, ready[choice - 1]);
        CHECK(swapcontext(&contexts_[from], &contexts_[current_]) == 0);
    }

    static inline scheduler *active = nullptr;

  private:
    using stack = std::array<char, 1 << 16>;
    struct choice {
        std::size_t taken, of;
    };

    static void enter() {
        scheduler &s = *active;
        s.bodies_[s.current_]();
        s.running_[s.current_] = false;
        const std::vector<std::size_t> ready = s.others(s.current_);
        if (ready.empty()) {
            setcontext(&s.main_);
        } else {
            s.current_ = ready[s.choose(ready.size())];
            setcontext(&s.contexts_[s.current_]);
        }
    }

    std::vector<std::size_t> others(std::size_t than) const {
        std::vector<std::size_t> ready;
        for (std::size_t i = 0; i < running_.size(); ++i) {
            if (running_[i] && i != than) ready.push_back(i);
        }
        return ready;
    }

    std::size_t choose(std::size_t of) {
        if (of == 1) return 0;
        if (at_ == choices_.size()) choices_.push_back({0, of});
        CHECK(choices_[at_].of == of); // else the run before this choice was not the same
        return choices_[at_++].taken;
    }

    unsigned preemptions_, left_ = 0;
    bool first_ = true;
    std::vector<choice> choices_;
    std::size_t at_ = 0, current_ = 0;
    std::vector<std::function<void()>> bodies_;
    std::vector<bool> running_;
    std::vector<ucontext_t> contexts_;
    std::vector<std::unique_ptr<stack>> stacks_;
    ucontext_t main_{};
};

/// Whether a thread that asks for a size may be switched there. What counts how low a depot runs asks now and
/// then, which a run that is to be the same each time must not see.
bool sizes_are_points = false;

void point(std::string_view name) {
    // Before a look at a head: the point before is nearly as good a place, and the schedules are far fewer.
    if (name == "look" || (name == "size" && !sizes_are_points)) return;
    if (scheduler::active != nullptr) scheduler::active->yield();
}

constexpr std::uint32_t most_objects = 16;

/// An exchange, the caches of its threads and what they hold; checked when all is over.
struct world {
    world(std::uint32_t objects, std::uint32_t magazine, std::uint32_t threads, bool caching = true)
        : ex({.objects = objects, .magazine = magazine, .max_threads = threads, .caching = caching}),
          objects(objects), held(threads + 1) {
        ex.stock(memory.data(), 8, objects);
        for (std::uint32_t i = 0; i < threads; ++i) in.push_back(&ex.enter());
    }

    bool get(std::size_t t, std::uint32_t n) {
        std::array<void *, most_objects> some{};
        if (!in[t]->get_bulk(some.data(), n)) return false;
        held[t].insert(held[t].end(), some.begin(), some.begin() + n);
        return true;
    }
    void put(std::size_t t, std::uint32_t n) {
        CHECK(n <= held[t].size());
        std::array<void *, most_objects> some{};
        std::copy(held[t].end() - n, held[t].end(), some.begin());
        held[t].resize(held[t].size() - n);
        in[t]->put_bulk(some.data(), n);
    }
    /// By a thread without a slot.
    bool guest_get(std::uint32_t n) {
        std::array<void *, most_objects> some{};
        if (!ex.get_bulk(some.data(), n)) return false;
        held.back().insert(held.back().end(), some.begin(), some.begin() + n);
        return true;
    }
    void guest_put(std::uint32_t n) {
        CHECK(n <= held.back().size());
        std::array<void *, most_objects> some{};
        std::copy(held.back().end() - n, held.back().end(), some.begin());
        held.back().resize(held.back().size() - n);
        ex.put_bulk(some.data(), n);
    }
    void leave(std::size_t t) { ex.leave(*std::exchange(in[t], nullptr)); }

    /// Nothing lost, nothing twice, everything found although it lies in caches; every magazine is there.
    void check() {
        std::uint64_t out = 0;
        for (const auto &of_one : held) out += of_one.size();
        CHECK(ex.available() == objects - out);
        std::vector<void *> all(objects);
        CHECK(ex.get_bulk(all.data(), static_cast<std::uint32_t>(objects - out)));
        all.resize(objects - out);
        for (const auto &of_one : held) all.insert(all.end(), of_one.begin(), of_one.end());
        std::sort(all.begin(), all.end());
        for (std::uint32_t i = 0; i < objects; ++i) CHECK(all[i] == memory.data() + 8 * i);
        ex.put_bulk(all.data(), objects);
        for (cache *c : in) {
            if (c != nullptr) ex.leave(*c);
        }
        const depot::census c = ex.census();
        CHECK(c.objects == objects && c.loose == 0);
        CHECK(c.full + c.partial + c.empty == ex.magazines());
    }

    exchange ex;
    std::uint32_t objects;
    std::vector<cache *> in;
    std::vector<std::vector<void *>> held; ///< of each thread; the last: of guests
    std::array<std::byte, 8 * most_objects> memory{};
};

struct scenario {
    const char *name;
    std::uint32_t objects, magazine, threads;
    std::function<void(world &)> before;
    std::vector<std::function<void(world &)>> bodies;
    bool caching = true;
};

void report(const char *name, std::uint64_t schedules, std::uint64_t reclaims) {
    std::printf("%-44s %9llu schedules %8llu reclaims\n", name, static_cast<unsigned long long>(schedules),
                static_cast<unsigned long long>(reclaims));
    std::fflush(stdout);
}

struct node {
    std::atomic<std::uint32_t> next{0}, depth{0};
};
struct node_list {
    mutable std::array<node, 4> all;
    node &operator[](std::uint32_t i) const { return all[i - 1]; }
};

/// A head that went away and came back: one pops while another pops two and pushes the first of them again.
void explore_stack(unsigned preemptions) {
    scheduler all(preemptions);
    std::uint64_t schedules = 0;
    for (; all.next(); ++schedules) {
        const node_list nodes{};
        tagged_stack stack;
        for (std::uint32_t i : {4u, 3u, 2u, 1u}) stack.push(nodes, i);
        std::vector<std::uint32_t> out;
        all.run({[&] { out.push_back(stack.pop(nodes)); },
                 [&] {
                     const std::uint32_t first = stack.pop(nodes);
                     out.push_back(stack.pop(nodes));
                     stack.push(nodes, first);
                 }});
        for (std::uint32_t i = stack.pop(nodes); i != 0 && out.size() <= 4; i = stack.pop(nodes))
            out.push_back(i);
        std::sort(out.begin(), out.end());
        CHECK((out == std::vector<std::uint32_t>{1, 2, 3, 4}));
    }
    report("a head that comes back", schedules, 0);
}

/// The top is popped and pushed again, and is the only one of another stack in between, while another thread
/// asks for the size: three or four at all times.
void explore_size(unsigned preemptions) {
    sizes_are_points = true;
    scheduler all(preemptions);
    std::uint64_t schedules = 0;
    for (; all.next(); ++schedules) {
        const node_list nodes{};
        tagged_stack stack, other;
        for (std::uint32_t i : {4u, 3u, 2u, 1u}) stack.push(nodes, i);
        std::uint32_t size = 0;
        all.run({[&] { size = stack.size(nodes); },
                 [&] {
                     const std::uint32_t top = stack.pop(nodes);
                     other.push(nodes, top);
                     CHECK(other.pop(nodes) == top);
                     stack.push(nodes, top);
                 }});
        CHECK(size == 3 || size == 4);
    }
    sizes_are_points = false;
    report("a size while the stack changes", schedules, 0);
}

void explore(const scenario &s, unsigned preemptions) {
    scheduler all(preemptions);
    std::uint64_t schedules = 0, reclaims = 0;
    while (all.next()) {
        world w(s.objects, s.magazine, s.threads, s.caching);
        s.before(w);
        std::vector<std::function<void()>> bodies;
        for (const auto &body : s.bodies) bodies.push_back([&w, &body] { body(w); });
        all.run(std::move(bodies));
        reclaims += w.ex.counters().reclaims;
        w.check();
        ++schedules;
    }
    report(s.name, schedules, reclaims);
}

} // namespace

/// usage: schedules PREEMPTIONS
int main(int argc, char **argv) {
    const unsigned preemptions = argc > 1 ? static_cast<unsigned>(std::stoul(argv[1])) : 2;
    const scenario scenarios[] = {
        {"get against reclaim",
         4,
         4,
         2,
         [](world &w) {
             CHECK(w.get(0, 1));
             w.put(0, 1);
         },
         {[](world &w) { (void)w.get(0, 2); }, [](world &w) { (void)w.get(1, 1); }}},
        {"gets and puts against reclaim",
         4,
         4,
         2,
         [](world &w) { CHECK(w.get(0, 2)); },
         {[](world &w) {
              w.put(0, 1);
              (void)w.get(0, 2);
              w.put(0, 1);
          },
          [](world &w) {
              if (w.get(1, 1)) w.put(1, 1);
              (void)w.get(1, 2);
          }}},
        {"exchange against reclaim",
         6,
         2,
         2,
         [](world &w) {
             CHECK(w.get(0, 5));
             w.put(0, 3);
         },
         {[](world &w) {
              w.put(0, 2);
              (void)w.get(0, 3);
          },
          [](world &w) { (void)w.get(1, 2); }}},
        {"leave against reclaim",
         6,
         2,
         2,
         [](world &w) {
             CHECK(w.get(0, 6));
             w.put(0, 3);
         },
         {[](world &w) { w.leave(0); }, [](world &w) { (void)w.get(1, 3); }}},
        {"leave and enter against reclaim",
         6,
         2,
         2,
         [](world &w) {
             CHECK(w.get(0, 6));
             w.put(0, 3);
         },
         {[](world &w) {
              w.leave(0);
              w.in[0] = &w.ex.enter(0);
              (void)w.get(0, 1);
          },
          [](world &w) { (void)w.get(1, 3); }}},
        {"session against reclaim",
         6,
         2,
         2,
         [](world &w) {
             CHECK(w.get(0, 6));
             w.put(0, 3);
         },
         {[](world &w) {
              std::array<void *, 2> some{};
              cache_session s(*w.in[0]);
              if (s.get_bulk(some.data(), 2)) s.put_bulk(some.data(), 2);
          },
          [](world &w) { (void)w.get(1, 3); }}},
        {"two reclaimers",
         4,
         4,
         3,
         [](world &w) {
             CHECK(w.get(0, 1));
             w.put(0, 1);
         },
         {[](world &w) { (void)w.get(0, 1); }, [](world &w) { (void)w.get(1, 1); },
          [](world &w) { (void)w.get(2, 1); }}},
        {"two reclaimers, puts",
         6,
         3,
         3,
         [](world &w) {
             CHECK(w.get(0, 6));
             w.put(0, 2);
         },
         {[](world &w) {
              w.put(0, 1);
              w.put(0, 1);
              w.put(0, 1);
          },
          [](world &w) { (void)w.get(1, 1); }, [](world &w) { (void)w.get(2, 1); }}},
        {"guests",
         4,
         2,
         2,
         [](world &w) {
             CHECK(w.get(0, 2));
             w.put(0, 1);
         },
         {[](world &w) { w.put(0, 1); }, [](world &w) { (void)w.guest_get(2); },
          [](world &w) {
              if (w.get(1, 1)) w.put(1, 1);
          }}},
        {"no caches",
         4,
         2,
         2,
         [](world &w) { CHECK(w.get(0, 1) && w.get(1, 1)); },
         {[](world &w) {
              w.put(0, 1);
              (void)w.get(0, 1);
          },
          [](world &w) {
              w.put(1, 1);
              (void)w.get(1, 1);
          },
          [](world &w) { (void)w.guest_get(1); }},
         false},
    };
    explore_stack(preemptions);
    explore_size(preemptions);
    for (const scenario &s : scenarios) explore(s, preemptions);
}
