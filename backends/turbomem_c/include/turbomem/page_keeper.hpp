// SPDX-License-Identifier: BSD-3-Clause
/// Re-merging by policy: transparent huge pages that something split are put together again.
#pragma once

#include "turbomem/pages.hpp"
#include "turbomem/populate.hpp"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace turbomem {

/// Merges a mapping's pages when something on this machine was split since it last looked. Looking is cheap:
/// one small file, some tens of microseconds whatever the size of the memory. Used by one thread at a time;
/// the mapping outlives it.
class split_watch {
  public:
    explicit split_watch(const mapping &memory) : memory_(&memory), seen_(splits()) {}

    /// Nothing: no page was split, or the memory is not on transparent huge pages. Else what merging came
    /// to, which may be that all was whole: the kernel counts splits of every process. Throws error as
    /// mapping::remerge() does.
    std::optional<merge_result> tend() {
        if (memory_->kind() != page_kind::thp) return std::nullopt;
        const std::optional<std::uint64_t> now = splits();
        if (now && now == seen_) return std::nullopt;
        const merge_result result = memory_->remerge();
        // What could not be merged yet is tried again the next time.
        seen_ = result.code == 0 ? now : std::nullopt;
        return result;
    }

  private:
    /// What makes huge pages smaller or takes them away, since boot. Nothing: the kernel does not count.
    static std::optional<std::uint64_t> splits() {
        std::ifstream file("/proc/vmstat");
        std::optional<std::uint64_t> sum;
        std::string name;
        for (std::uint64_t n = 0; file >> name >> n;) {
            if (name == "thp_split_pmd" || name == "thp_split_page" || name == "thp_swpout")
                sum = sum.value_or(0) + n;
        }
        return sum;
    }

    const mapping *memory_;
    std::optional<std::uint64_t> seen_;
};

/// A thread that tends a mapping every `period` for as long as this lives. It takes no signals. In a child of
/// fork there is no such thread, and destroying the keeper there does nothing.
class [[nodiscard]] page_keeper {
  public:
    /// Throws out_of_memory when no thread can be had.
    page_keeper(const mapping &memory, std::chrono::milliseconds period)
        : owner_(::getpid()), watch_(memory), state_(std::make_unique<state>()) {
        auto thread = detail::quiet_thread([this, period] { run(period); });
        if (!thread) throw out_of_memory("no thread to be had for keeping huge pages whole");
        thread_ = std::move(*thread);
    }
    page_keeper(const page_keeper &) = delete;
    page_keeper &operator=(const page_keeper &) = delete;

    ~page_keeper() {
        if (::getpid() != owner_) {
            // The lock may be held, for ever, by the thread that is not here.
            thread_.detach();
            (void)state_.release();
            return;
        }
        {
            const std::lock_guard lock(state_->mutex);
            state_->stop = true;
        }
        state_->wake.notify_one();
        thread_.join();
    }

    /// Bytes put on huge pages again since it was made.
    std::uint64_t merged() const {
        const std::lock_guard lock(state_->mutex);
        return state_->merged;
    }

  private:
    struct state {
        std::mutex mutex;
        std::condition_variable wake;
        bool stop = false;
        std::uint64_t merged = 0;
    };

    void run(std::chrono::milliseconds period) {
        std::unique_lock lock(state_->mutex);
        while (!state_->wake.wait_for(lock, period, [&] { return state_->stop; })) {
            lock.unlock();
            std::uint64_t merged = 0;
            try {
                if (const auto r = watch_.tend(); r && r->after > r->before) merged = r->after - r->before;
            } catch (const std::exception &) {
                // the coverage cannot be read at the moment; the next round asks again
            }
            lock.lock();
            state_->merged += merged;
        }
    }

    pid_t owner_;
    split_watch watch_;
    std::unique_ptr<state> state_;
    std::thread thread_;
};

} // namespace turbomem
