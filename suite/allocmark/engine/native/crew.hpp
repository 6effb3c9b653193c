// SPDX-License-Identifier: BSD-3-Clause
/** The actors' threads: they wait for orders, and all carry out the same one at the same time. */
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <system_error>
#include <vector>

namespace allocmark {

class Crew {
  public:
    /** What a thread is to do, by its number. */
    using Order = std::function<void(uint32_t)>;

    ~Crew() { dismiss(); }

    /** Starts a thread on each stack. Throws std::system_error when the system gives no more. */
    void start(const std::vector<std::span<char>> &stacks) {
        const std::lock_guard lock(mutex_);
        threads_.reserve(stacks.size()); // a thread has a pointer into it
        for (const std::span<char> stack : stacks) {
            threads_.push_back({*this, uint32_t(threads_.size()), {}});
            Thread &thread = threads_.back();
            pthread_attr_t attributes;
            pthread_attr_init(&attributes);
            int code = pthread_attr_setstack(&attributes, stack.data(), stack.size());
            if (code == 0) code = pthread_create(&thread.handle, &attributes, run, &thread);
            pthread_attr_destroy(&attributes);
            if (code != 0) {
                threads_.pop_back();
                throw std::system_error(code, std::generic_category(), "starting a thread");
            }
            ++busy_;
        }
    }

    /** Returns when every thread has carried out `order`. If that takes more than `limit_ns` (0: no limit),
     * sets `late`. */
    void carry_out(const Order &order, uint64_t limit_ns = 0, std::atomic<bool> *late = nullptr) {
        std::unique_lock lock(mutex_);
        const auto all_done = [&] { return busy_ == 0; };
        done_.wait(lock, all_done); // threads that are still starting
        order_ = &order;
        busy_ = threads_.size();
        ++generation_;
        wake_.notify_all();
        // relaxed: a hint to stop, as when an actor gives it.
        if (limit_ns && !done_.wait_for(lock, std::chrono::nanoseconds(limit_ns), all_done))
            late->store(true, std::memory_order_relaxed);
        done_.wait(lock, all_done);
    }

    /** Ends the threads. */
    void dismiss() {
        {
            const std::lock_guard lock(mutex_);
            order_ = nullptr;
            ++generation_;
        }
        wake_.notify_all();
        for (const Thread &thread : threads_) pthread_join(thread.handle, nullptr);
        threads_.clear();
    }

  private:
    struct Thread {
        Crew &crew;
        uint32_t index;
        pthread_t handle;
    };

    static void *run(void *argument) {
        const auto &thread = *static_cast<Thread *>(argument);
        thread.crew.serve(thread.index);
        return nullptr;
    }

    void serve(uint32_t index) {
        for (uint64_t seen = 0;;) {
            std::unique_lock lock(mutex_);
            if (--busy_ == 0) done_.notify_one();
            wake_.wait(lock, [&] { return generation_ != seen; });
            seen = generation_;
            const Order *order = order_;
            if (order == nullptr) return;
            lock.unlock();
            (*order)(index);
        }
    }

    std::vector<Thread> threads_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    uint64_t generation_ = 0;      // of orders
    const Order *order_ = nullptr; // null: end
    size_t busy_ = 0;              // threads that have not carried out the order yet
};

} // namespace allocmark
