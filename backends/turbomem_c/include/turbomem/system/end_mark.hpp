// SPDX-License-Identifier: BSD-3-Clause
/// Whether something has ended, for those who may outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace turbomem::detail {

/// Copies share one mark; freed with the last of them. It counts by itself: a std::shared_ptr would call the
/// code of the shared object that made it, which may be gone by then. Copies of one thread each may be made
/// and destroyed concurrently.
class end_mark {
  public:
    /// Of nothing that could end.
    end_mark() = default;
    /// A new one, not set. Throws std::bad_alloc.
    static end_mark made() {
        end_mark m;
        m.at_ = new shared;
        return m;
    }
    end_mark(const end_mark &other) noexcept : at_(other.at_) {
        // relaxed: the other one keeps it meanwhile.
        if (at_ != nullptr) at_->users.fetch_add(1, std::memory_order_relaxed);
    }
    end_mark &operator=(end_mark other) noexcept {
        std::swap(at_, other.at_);
        return *this;
    }
    ~end_mark() {
        // release: what was done with this one is over. acquire: before the last frees it.
        if (at_ != nullptr && at_->users.fetch_sub(1, std::memory_order_acq_rel) == 1) delete at_;
    }

    /// It ends now. Not of a default one.
    void set() const noexcept { at_->ended.store(true, std::memory_order_release); } // release: see is_set()
    /// acquire: what came before the end.
    bool is_set() const noexcept { return at_ != nullptr && at_->ended.load(std::memory_order_acquire); }

  private:
    struct shared {
        std::atomic<std::uint32_t> users{1};
        std::atomic<bool> ended{false};
    };
    shared *at_ = nullptr;
};

} // namespace turbomem::detail
