// SPDX-License-Identifier: BSD-3-Clause
/** Free lists of Boost.Lockfree: a list of pointers to objects that lie side by side. */
#include <allocmark/backend.hpp>
#include <allocmark/slab.h>

#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/stack.hpp>

#include <array>
#include <stdexcept>
#include <vector>

namespace {

class Slab {
  public:
    explicit Slab(const allocmark_pool_spec &spec) {
        allocmark_error error;
        const int failed = allocmark_slab_make(&slab_, &spec, 0, &error);
        if (failed == -ENOMEM) throw std::bad_alloc();
        if (failed) throw std::length_error("too large");
    }
    Slab(const Slab &) = delete;
    ~Slab() { allocmark_slab_free(&slab_); }
    void *object(std::uint64_t i) const { return allocmark_slab_object(&slab_, i); }
    allocmark_region region() const { return allocmark_slab_region(&slab_); }

  private:
    allocmark_slab slab_;
};

template <class List, bool kNewestFirst> class FreeList {
  public:
    explicit FreeList(const allocmark_pool_spec &spec) : objects_(spec), list_(spec.objects) {
        for (std::uint64_t i = 0; i < spec.objects; ++i)
            put(objects_.object(kNewestFirst ? spec.objects - 1 - i : i));
    }

    void *get() {
        void *object;
        return list_.pop(object) ? object : nullptr;
    }

    // The list has a node for every object: it takes no memory here.
    void put(void *object) { list_.push(object); }

    /** The lists do not count: takes all objects out, and puts them back as they were. */
    std::uint64_t available() const {
        std::vector<void *> found;
        for (void *object; list_.pop(object);) found.push_back(object);
        if (kNewestFirst)
            for (auto object = found.rbegin(); object != found.rend(); ++object) list_.push(*object);
        else
            for (void *object : found) list_.push(object);
        return found.size();
    }

    std::array<allocmark_region, 1> regions() const { return {objects_.region()}; }

  private:
    Slab objects_;
    mutable List list_;
};

using Stack = FreeList<boost::lockfree::stack<void *>, true>;
using Queue = FreeList<boost::lockfree::queue<void *>, false>;

} // namespace

ALLOCMARK_BACKEND(boost_lockfree_stack, Stack)
ALLOCMARK_BACKEND(boost_lockfree_queue, Queue)
