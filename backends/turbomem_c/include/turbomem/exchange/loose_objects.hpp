// SPDX-License-Identifier: BSD-3-Clause
/// Single objects: the last resort of a put that finds no empty magazine.
#pragma once

#include "turbomem/exchange/tagged_stack.hpp"
#include "turbomem/memory/metadata.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace turbomem {

/// A lock-free bag with room for every object there is, in cells of its own, since an object's memory is its
/// owner's. Cells that were never used take address space, no memory.
///
/// A put always finds a free cell: a cell that is not free holds one object, or is in the hands of the one
/// call that has that object in its hands, and the object being put is in neither.
///
/// Every operation is lock-free, one or two compare-and-swaps per object.
class loose_objects {
    struct cell {
        void *object = nullptr; ///< of the call that popped the cell
        std::atomic<std::uint32_t> next{0}, depth{0};
    };

    /// Cells by indices from 1.
    class cell_array {
      public:
        explicit cell_array(std::uint32_t cells) : memory_(std::size_t{cells} * sizeof(cell), 0) {}
        cell &operator[](std::uint32_t index) const noexcept {
            return reinterpret_cast<cell *>(memory_.data())[index - 1];
        }

      private:
        metadata memory_;
    };

  public:
    /// For at most that many objects. Throws out_of_memory.
    explicit loose_objects(std::uint32_t objects) : objects_(objects), cells_(objects) {}

    std::uint32_t capacity() const noexcept { return objects_; }

    void put(void *object) noexcept {
        const std::uint32_t i = free_cell();
        cells_[i].object = object;
        used_.push(cells_, i);
    }

    /// Null when there was an instant during the call at which there was none.
    [[nodiscard]] void *get() noexcept {
        const std::uint32_t i = used_.pop(cells_);
        if (i == 0) return nullptr;
        void *object = cells_[i].object;
        free_.push(cells_, i);
        return object;
    }

    /// Changes so far, modulo 2^32; see tagged_stack.
    std::uint32_t changes() const noexcept { return used_.changes(); }

    /// Exact while no thread is in a call, else an estimate. Wait-free.
    std::uint64_t count() const noexcept { return used_.size(cells_); }

  private:
    /// Ends: see the class. A round that finds none means that another thread made progress meanwhile.
    std::uint32_t free_cell() noexcept {
        for (;;) {
            if (const std::uint32_t i = free_.pop(cells_)) return i;
            // relaxed: a cell becomes another thread's business when it is pushed.
            std::uint32_t i = fresh_.load(std::memory_order_relaxed);
            if (i < objects_ && fresh_.compare_exchange_strong(i, i + 1, std::memory_order_relaxed)) {
                new (&cells_[i + 1]) cell;
                return i + 1;
            }
        }
    }

    std::uint32_t objects_;
    cell_array cells_;
    alignas(64) tagged_stack used_;
    tagged_stack free_;
    std::atomic<std::uint32_t> fresh_{0}; ///< cells that were ever used
};

} // namespace turbomem
