// SPDX-License-Identifier: BSD-3-Clause
#include "cast.hpp"

#include <algorithm>
#include <mutex>
#include <span>

namespace allocmark {

Cast::Cast(const am_plan &plan, uint64_t layout_seed, const allocmark_backend &backend,
           const std::vector<Pool> &pools, Ledger *ledger)
    : limit_ns_(plan.limit_ns), common_(Arena::Half::kShared, Draws(layout_seed, kCommon)),
      shared_(*common_.make<Shared>("flags", 0)) {
    shared_.stall_ns = plan.stall_ns;
    shared_.ledger = ledger;
    for (uint32_t q = 0; q < plan.n_queues; ++q) {
        const am_queue &wanted = plan.queues[q];
        queues_.push_back(common_.make<Queue>("queue", q, wanted.capacity, wanted.senders == 1,
                                              wanted.receivers == 1, common_, q));
    }
    std::vector<std::span<char>> stacks;
    for (uint32_t a = 0; a < plan.n_actors; ++a) {
        arenas_.push_back(std::make_unique<Arena>(Arena::Half::kActor, Draws(layout_seed, a)));
        stacks.push_back(arenas_[a]->stack());
        actors_.push_back(arenas_[a]->make<Actor>("interpreter", 0, a, plan.actors[a], backend, pools,
                                                  queues_, shared_, *arenas_[a]));
    }
    crew_.start(stacks);
}

Cast::~Cast() {
    all([](Actor &actor) { actor.leave(); });
    crew_.dismiss();
}

bool Cast::begin(allocmark_error &error) {
    std::vector<allocmark_error> errors(actors_.size());
    std::vector<char> begun(actors_.size());
    all([&](Actor &actor) { begun[actor.index] = actor.begin(errors[actor.index]); });
    const auto failed = std::find(begun.begin(), begun.end(), false);
    if (failed == begun.end()) return true;
    error = errors[size_t(failed - begun.begin())];
    return false;
}

void Cast::sample(Watch how, uint64_t units, am_actor_sample *samples) {
    shared_.stop.store(false, std::memory_order_relaxed); // the order publishes it
    CommonStart meeting(actors_.size());
    all(
        [&](Actor &actor) {
            const am_actor_sample taken = actor.sample(how, units, meeting);
            if (samples) samples[actor.index] = taken;
        },
        limit_ns_);
}

int Cast::outcome(am_trouble *trouble) {
    const std::lock_guard lock(shared_.trouble_mutex);
    *trouble = shared_.trouble;
    return trouble->kind == AM_NONE ? 0 : -1;
}

} // namespace allocmark
