// SPDX-License-Identifier: BSD-3-Clause
/// A pool of objects of one C++ type.
#pragma once

#include "turbomem/pool.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace turbomem {

/// Storage for `T`s, constructed when they are made and destroyed when they are given back.
///
///     turbomem::object_pool<packet> packets({.objects = 65'535, .max_threads = 2});
///     auto mine = packets.enter(0);                // once a thread
///     if (auto p = mine.make(header, length)) …    // null: the pool is empty; gives itself back in the end
template <class T>
    requires std::is_object_v<T> && std::is_nothrow_destructible_v<T>
class object_pool {
  public:
    /// Size and alignment come from T; an alignment asked for that is larger is kept. Throws as pool does.
    explicit object_pool(pool_options options) : pool_(fit(options)) {}

    /// What a thread works through; leaves when it goes out of scope. Objects made through it may outlive it
    /// only when they are released and given back through another one.
    class handle {
      public:
        handle(handle &&other) noexcept : pool_(other.pool_), cache_(std::exchange(other.cache_, nullptr)) {}
        handle &operator=(handle &&) = delete;
        ~handle() {
            if (cache_ != nullptr) pool_->leave(*cache_);
        }

        struct giver {
            cache *to = nullptr;
            void operator()(T *object) const noexcept {
                std::destroy_at(object);
                void *storage = object;
                to->put_bulk(&storage, 1);
            }
        };
        using owner = std::unique_ptr<T, giver>;

        /// A new T, or null when no storage is found. What T's constructor throws passes through, and its
        /// storage is back.
        template <class... Args> owner make(Args &&...args) {
            void *storage = nullptr;
            if (!cache_->get_bulk(&storage, 1)) return owner(nullptr, giver{cache_});
            try {
                return owner(::new (storage) T(std::forward<Args>(args)...), giver{cache_});
            } catch (...) {
                cache_->put_bulk(&storage, 1);
                throw;
            }
        }

        /// Take over a T that was released from an owner, perhaps by another thread.
        owner adopt(T *object) noexcept { return owner(object, giver{cache_}); }

      private:
        friend object_pool;
        handle(pool &p, std::uint32_t slot) : pool_(&p), cache_(&p.enter(slot)) {}

        pool *pool_;
        cache *cache_;
    };

    /// Throws invalid_slot.
    handle enter(std::uint32_t slot) { return handle(pool_, slot); }

    const pool &storage() const noexcept { return pool_; }

  private:
    static pool_options fit(pool_options options) {
        options.object_size = sizeof(T);
        options.alignment = std::max<std::uint64_t>(options.alignment, alignof(T));
        return options;
    }

    pool pool_;
};

} // namespace turbomem
