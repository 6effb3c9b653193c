// SPDX-License-Identifier: BSD-3-Clause
/// What an exchange of magazines costs with more cores than there are here. The library's own code runs on
/// simulated cores: coroutines that a clock of their own switches at each shared word. Counted are the
/// compare-and-swaps that they try and the cache lines that come from another core. Time is that of the
/// lines: one unit to bring one, `local` for one that is here, and what a core does outside.
///
///     scaling PATTERN CORES OUTSIDE EXCHANGES      for each core; prints a line of figures for scaling.py
///
/// Assumed: a line goes to those who asked for it in their order, one after the other, to be read by several
/// or written by one; a failed compare-and-swap leaves the line here, so that the next try need not ask for
/// it; the header of a magazine is with the core that had the magazine last, and nobody queues for it.
#include <cstdint>

namespace {
void point(const char *name, const void *where);
}
#define TURBOMEM_POINT(name) point(#name, this)

#include "turbomem/exchange/exchange.hpp"

#include <dlfcn.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

using namespace turbomem;

namespace {

constexpr std::uint32_t magazine_size = 8, most_cores = 128;
constexpr double local = 0.05;
std::uint32_t cpus = 1; ///< of the machine that is simulated

using bulk = std::array<void *, magazine_size>;

/// A cache line that several cores use.
struct line {
    double free = 0; ///< from when on it can be brought elsewhere
    std::bitset<most_cores> holders;
};

struct core {
    double clock = 0, outside = 0;
    std::mt19937_64 random;
    ucontext_t context{};
    std::array<char, 1 << 15> stack;
};

class machine {
  public:
    machine(exchange &ex, std::uint32_t cores, double outside, bool one_line)
        : ex_(ex), outside_(outside), one_line_(one_line) {
        for (std::uint32_t i = 0; i < cores; ++i) {
            cores_.push_back(std::make_unique<core>());
            cores_[i]->random.seed(i);
            caches_.push_back(&ex.enter(i));
        }
    }

    /// `body(core)` on each of them, again and again, until there were so many exchanges for each; what was
    /// counted is that of the second half.
    void run(void (*body)(std::uint32_t), std::uint64_t exchanges_each) {
        active = this;
        body_ = body;
        exchanges_ = exchanges_each * cores_.size();
        for (auto &c : cores_) {
            getcontext(&c->context);
            c->context.uc_stack.ss_sp = c->stack.data();
            c->context.uc_stack.ss_size = c->stack.size();
            c->context.uc_link = nullptr;
            makecontext(&c->context, reinterpret_cast<void (*)()>(&machine::live), 0);
        }
        swapcontext(&main_, &cores_[me_]->context);
        active = nullptr;
        double spent = 0, outside = 0;
        for (auto &c : cores_) {
            spent += c->clock - from_;
            outside += c->outside;
        }
        const auto n = static_cast<double>(ex_.shared().changes() - begun_);
        std::uint64_t changed = 0;
        for (auto [stack, before] : heads_) changed += stack->changes() - before;
        std::printf("%.4f %.4f %.4f %.4f %.4f\n", static_cast<double>(tries_) / n,
                    static_cast<double>(changed) / n, static_cast<double>(brought_) / n, outside / spent,
                    n / spent * static_cast<double>(cores_.size()));
    }

    void get(bulk &objects) {
        if (!caches_[me_]->get_bulk(objects.data(), magazine_size)) std::abort(); // there are plenty
    }
    void put(const bulk &objects) { caches_[me_]->put_bulk(objects.data(), magazine_size); }
    void be_outside() {
        if (outside_ == 0) return;
        const double t = std::exponential_distribution<>(1 / outside_)(self().random);
        self().outside += t;
        pass(t);
    }
    /// Longer where more wait for one: how soon they notice is not what is looked at.
    void wait() { pass((1 + outside_) * (8 + static_cast<double>(cores_.size())) / 64); }

    /// The library is about to look at the head of a stack, or to change it.
    void visit(std::string_view name, const tagged_stack &stack) {
        if (name != "look" && name != "push" && name != "pop") return;
        // One head for all is to be one line, too, where a shard has one for each of its stacks.
        line &head = lines_[one_line_ ? 0 : reinterpret_cast<std::uintptr_t>(&stack) / no_sharing];
        if (name == "look") return bring(head, false);
        heads_.try_emplace(&stack, stack.changes());
        ++tries_;
        const std::uint32_t top = stack.top();
        if (top != 0 && ex_.shared()[top].user != me_) { // its header is elsewhere
            ++brought_;
            pass(1);
        }
        bring(head, true);
    }

    static inline machine *active = nullptr;

  private:
    core &self() { return *cores_[me_]; }

    static void live() {
        machine &m = *active;
        for (;;) m.body_(m.me_);
    }

    void bring(line &l, bool alone) {
        if (l.holders[me_] && (!alone || l.holders.count() == 1)) return pass(local);
        ++brought_;
        // Give or take a tenth: cores that are all alike would go on in step.
        l.free = std::max(self().clock, l.free) + std::uniform_real_distribution<>(0.9, 1.1)(self().random);
        if (alone) l.holders.reset();
        l.holders.set(me_);
        pass(l.free - self().clock);
    }

    /// The others run until it is this core's turn again.
    void pass(double time) {
        self().clock += time;
        const std::uint64_t done = ex_.shared().changes();
        if (from_ == 0 && done - first_ > exchanges_ / 2) begin_to_count();
        if (done - first_ > exchanges_) setcontext(&main_);
        const std::uint32_t from = me_;
        for (std::uint32_t i = 0; i < cores_.size(); ++i)
            if (cores_[i]->clock < cores_[me_]->clock) me_ = i;
        if (me_ != from) swapcontext(&cores_[from]->context, &self().context);
    }

    void begin_to_count() {
        from_ = self().clock;
        begun_ = ex_.shared().changes();
        tries_ = brought_ = 0;
        for (auto &[stack, before] : heads_) before = stack->changes();
        for (auto &c : cores_) c->outside = 0;
    }

    exchange &ex_;
    double outside_, from_ = 0;
    bool one_line_;
    void (*body_)(std::uint32_t) = nullptr;
    std::uint64_t exchanges_ = 0, first_ = ex_.shared().changes(), begun_ = 0, tries_ = 0, brought_ = 0;
    std::uint32_t me_ = 0;
    std::vector<std::unique_ptr<core>> cores_;
    std::vector<cache *> caches_;
    std::map<std::uintptr_t, line> lines_;
    std::map<const tagged_stack *, std::uint32_t> heads_; ///< and their changes when counting began
    ucontext_t main_{};
};

void point(const char *name, const void *where) {
    if (machine::active != nullptr) machine::active->visit(name, *static_cast<const tagged_stack *>(where));
}

// What the cores do. Objects change hands without a cost: not what a pool does is counted.

/// Bulks on their way, and how many may be.
struct wire {
    std::deque<bulk> sent;
    std::size_t room = 4;
};
std::array<wire, most_cores> wires;

void get_and_put(std::uint32_t) {
    std::array<bulk, 8> held;
    for (bulk &b : held) {
        machine::active->be_outside();
        machine::active->get(b);
    }
    for (const bulk &b : held) {
        machine::active->be_outside();
        machine::active->put(b);
    }
}

void get_into(wire &w) {
    machine &m = *machine::active;
    m.be_outside();
    while (w.room == 0) m.wait();
    --w.room;
    bulk b;
    m.get(b);
    w.sent.push_back(b);
}
void put_from(wire &w) {
    machine &m = *machine::active;
    m.be_outside();
    while (w.sent.empty()) m.wait();
    const bulk b = w.sent.front();
    w.sent.pop_front();
    ++w.room;
    m.put(b);
}

void in_pairs(std::uint32_t me) {
    if (me % 2 == 0)
        get_into(wires[me / 2]);
    else
        put_from(wires[me / 2]);
}
void one_gets(std::uint32_t me) {
    if (me == 0)
        get_into(wires[0]);
    else
        put_from(wires[0]);
}
void one_puts(std::uint32_t me) {
    if (me != 0)
        get_into(wires[0]);
    else
        put_from(wires[0]);
}

struct pattern {
    std::string_view name;
    void (*body)(std::uint32_t);
    bool one_shard;
};
constexpr pattern patterns[] = {{"own", get_and_put, false},
                                {"pairs", in_pairs, false},
                                {"one-gets", one_gets, false},
                                {"one-puts", one_puts, false},
                                {"one-head", get_and_put, true}};

} // namespace

/// The depot asks how many CPUs there are, and has as many shards.
extern "C" long sysconf(int name) noexcept {
    if (name == _SC_NPROCESSORS_CONF) return cpus;
    static auto *const real = reinterpret_cast<long (*)(int)>(dlsym(RTLD_NEXT, "sysconf"));
    return real(name);
}

int main(int argc, char **argv) {
    const auto *const p = argc != 5 ? std::end(patterns)
                                    : std::find_if(std::begin(patterns), std::end(patterns),
                                                   [&](const pattern &each) { return each.name == argv[1]; });
    const std::uint32_t cores = p == std::end(patterns) ? 0 : static_cast<std::uint32_t>(std::atoi(argv[2]));
    if (cores == 0 || cores > most_cores) {
        std::fprintf(stderr, "usage: scaling PATTERN CORES OUTSIDE EXCHANGES\n");
        return 2;
    }
    cpus = p->one_shard ? 1 : cores;
    wires[0].room = 4 * cores;
    const std::uint32_t objects = cores * 64 * magazine_size;
    const std::vector<std::byte> memory(objects);
    exchange ex({.objects = objects, .magazine = magazine_size, .max_threads = cores, .distance = 16384});
    ex.stock(const_cast<std::byte *>(memory.data()), 1, objects);
    machine(ex, cores, std::atof(argv[3]), p->one_shard)
        .run(p->body, static_cast<std::uint64_t>(std::atoll(argv[4])));
}
