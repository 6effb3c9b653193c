// SPDX-License-Identifier: BSD-3-Clause
/// Checking: what a pool finds out about misuse. A pool that does not check has none of this in its code.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/exchange/numa_exchange.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/name.hpp"
#include "turbomem/options.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/system/barriers.hpp"
#include "turbomem/system/end_mark.hpp"
#include "turbomem/system/here.hpp"
#include "turbomem/system/instrument.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace turbomem {

enum class misuse_kind : std::uint8_t {
    foreign_pointer,    ///< points into no checked pool (EFAULT)
    other_pool,         ///< points into another checked pool (EXDEV)
    misaligned_pointer, ///< points into the pool, but not to the start of an object (EFAULT)
    double_free,        ///< the object is in the pool already (EALREADY)
    overwritten,        ///< bytes before or behind the object were written (EOVERFLOW)
    use_after_free,     ///< the object was written while it was in the pool (EUCLEAN)
    still_out,          ///< the pool ends while objects are out (EBUSY)
    pool_gone,          ///< a handle or an owner is used after its pool ended (ESTALE)
};

/// What a checked pool found.
class misuse : public error {
  public:
    misuse(misuse_kind kind, const void *object, const std::string &what)
        : error(code_of(kind), what), kind_(kind), object_(object) {}

    misuse_kind kind() const noexcept { return kind_; }
    /// The pointer that was passed, or the object that was damaged; null when it is about no object.
    const void *object() const noexcept { return object_; }

  private:
    static constexpr int code_of(misuse_kind kind) noexcept {
        switch (kind) {
        case misuse_kind::other_pool:
            return EXDEV;
        case misuse_kind::double_free:
            return EALREADY;
        case misuse_kind::overwritten:
            return EOVERFLOW;
        case misuse_kind::use_after_free:
            return EUCLEAN;
        case misuse_kind::still_out:
            return EBUSY;
        case misuse_kind::pool_gone:
            return ESTALE;
        default:
            return EFAULT;
        }
    }

    misuse_kind kind_;
    const void *object_;
};

namespace detail {

/// The memory of a checked pool, on the list of those that this shared object made: so that a pointer into
/// another pool can be told from one into nowhere. The list is locked: when a checked pool is made, when it
/// ends, and when a foreign pointer was found.
class checked_regions {
  public:
    checked_regions(const mapping &memory, std::uint64_t object_size)
        : list_(here<regions>()), memory_(memory) {
        const std::lock_guard guard(list_.lock);
        TURBOMEM_POINT(listing);
        list_.all.push_back({&memory, object_size});
    }
    checked_regions(const checked_regions &) = delete;
    checked_regions &operator=(const checked_regions &) = delete;
    ~checked_regions() {
        const std::lock_guard guard(list_.lock);
        std::erase_if(list_.all, [&](const entry &e) { return e.memory == &memory_; });
    }

    /// Size of the objects of the checked pool that the address lies in; 0: in none.
    static std::uint64_t object_size_at(const void *address) noexcept {
        regions &known = here<regions>();
        const std::lock_guard guard(known.lock);
        for (const entry &e : known.all) {
            if (e.memory->contains(address)) return e.object_size;
        }
        return 0;
    }

  private:
    struct entry {
        const mapping *memory;
        std::uint64_t object_size;
    };
    struct regions {
        regions() noexcept { hold_lock_over_fork<here<regions>>(); }
        std::mutex lock;
        std::vector<entry> all;
        bool idle() const noexcept { return all.empty(); }
    };

    regions &list_; ///< of the shared object that made the pool, whoever ends it
    const mapping &memory_;
};

inline std::string hexadecimal(const void *address) {
    char text[2 + 2 * sizeof address + 1];
    std::snprintf(text, sizeof text, "%#zx", reinterpret_cast<std::size_t>(address));
    return text;
}

} // namespace detail

namespace checking {

/// What may be checked. That a pointer is an object of the pool always is.
enum kinds : unsigned {
    pointers = 0,       ///< foreign and misaligned pointers, objects of another checked pool
    double_free = 1,    ///< a byte per object, beside the objects; finds two threads freeing at once, too
    overwrite = 2,      ///< eight bytes before and behind each object, looked at when it is got and put
    use_after_free = 4, ///< filled while in the pool; AddressSanitizer and Valgrind report the access itself
    leaks = 8,          ///< objects that are out when the pool ends
    all = 15,
};
constexpr kinds operator|(kinds a, kinds b) noexcept {
    return static_cast<kinds>(unsigned{a} | unsigned{b});
}

/// Nothing is checked. The default.
struct none {
    using family = policy::checking;
    static constexpr bool enabled = false;
    static constexpr bool hardens = false;
    static constexpr std::uint64_t spare = 0;
    static constexpr std::uint64_t alignment = 1;

    struct checker {
        checker(const mapping &, const object_layout &, const pool_options &) noexcept {}
    };
    struct lease {};
};

/// Find the misuse named. Every get and put of an object costs an atomic exchange and, with overwrite or
/// use_after_free, a walk over the guards or the object; the pool stays lock-free.
///
/// Misuse goes to `pool_options::on_misuse`, on the thread that met it; without one, it is thrown. A put
/// leaves out the objects that are wrong; when misuse is thrown, those before the first of them are put, and
/// the rest are not. A get that throws took nothing. What was damaged is put right first: a fault is reported
/// once.
template <kinds Kinds = all> struct checked {
    using family = policy::checking;
    static constexpr bool enabled = true;
    static constexpr bool hardens = false;
    /// Bytes of a guard: there is one behind each object, and one right before the next.
    static constexpr std::uint64_t guard = Kinds & overwrite ? 8 : 0;
    static constexpr std::uint64_t spare = 2 * guard;
    /// AddressSanitizer tells granules of eight bytes apart.
    static constexpr std::uint64_t alignment = 8;

    /// What handles and owners hold, to know whether their pool is still there.
    class lease {
      public:
        lease() = default;
        /// Throws misuse.
        void require_pool() const {
            if (gone_.is_set())
                throw misuse(misuse_kind::pool_gone, nullptr, "the pool of this handle or owner is gone");
        }

      private:
        friend checked;
        detail::end_mark gone_;
    };

    class checker {
      public:
        /// Throws std::bad_alloc. The memory outlives it.
        checker(const mapping &memory, const object_layout &layout, const pool_options &options)
            : name_(options.name), memory_(memory), layout_(layout), report_(options.on_misuse),
              per_region_(objects_on_node(layout.objects, 0, memory.regions())) {
            if constexpr (Kinds & double_free)
                out_ = std::make_unique<std::atomic<bool>[]>(per_region_ * memory.regions());
            lease_.gone_ = detail::end_mark::made();
            regions_.emplace(memory, layout.object_size);
            if constexpr (Kinds & use_after_free) instrument::pool_made(this, guard);
            for_each([&](std::byte *o) {
                mend(o);
                if constexpr (Kinds & overwrite)
                    instrument::forbid(o + layout_.object_size, layout_.stride - layout_.object_size);
                if constexpr (Kinds & use_after_free) {
                    fill(o);
                    instrument::forbid(o, layout_.object_size);
                }
            });
        }
        checker(const checker &) = delete;
        checker &operator=(const checker &) = delete;
        ~checker() {
            lease_.gone_.set();
            if constexpr (Kinds & use_after_free) instrument::pool_gone(this);
            for (std::uint32_t i = 0; i < memory_.regions(); ++i)
                instrument::permit(memory_.region(i), memory_.size());
        }

        const lease &given_lease() const noexcept { return lease_; }

        /// As the source's, with checks. They throw misuse where no one is told of it instead.
        template <class Source> bool get_bulk(Source &source, void **objects, std::uint32_t n) {
            if (!source.get_bulk(objects, n)) return false;
            look_at(source, objects, n);
            return true;
        }
        template <class Source> std::uint32_t get_up_to(Source &source, void **objects, std::uint32_t n) {
            const std::uint32_t got = source.get_up_to(objects, n);
            look_at(source, objects, got);
            return got;
        }
        template <class Source> void put_bulk(Source &source, void *const *objects, std::uint32_t n) {
            for (std::uint32_t i = 0; i < n; ++i) {
                if (putting(objects[i])) source.put_bulk(objects + i, 1);
            }
        }

        /// Whether the object is one that is out and whole; reports when not. To be asked before anything of
        /// the object is touched.
        bool is_out(const void *p) {
            const auto *o = static_cast<const std::byte *>(p);
            if (!is_object(o)) return false;
            // relaxed: advisory; putting() decides.
            if constexpr (Kinds & double_free) {
                if (!out_[index(o)].load(std::memory_order_relaxed)) return report_double_free(o);
            }
            return true;
        }

        /// The pool ends.
        void ending(std::uint64_t out) {
            if constexpr (Kinds & leaks) {
                if (out != 0)
                    report(misuse(misuse_kind::still_out, nullptr,
                                  name_.subject() + " ends while " + std::to_string(out) +
                                      " of its objects of " + std::to_string(layout_.object_size) +
                                      " bytes are out"));
            }
        }

        /// Look at the guards of every object, wherever it is; reports each that is damaged, and puts it
        /// right. How many there were. While no other thread uses the pool.
        std::uint64_t audit() {
            std::uint64_t damaged = 0;
            for_each([&](std::byte *o) {
                if (is_guarded(o)) return;
                ++damaged;
                mend(o);
                fault(misuse_kind::overwritten, o, overwritten);
            });
            return damaged;
        }

      private:
        template <class Source> void look_at(Source &source, void **objects, std::uint32_t n) {
            try {
                got(objects, n);
            } catch (...) {
                put_bulk(source, objects, n);
                throw;
            }
        }

        /// Objects that were just got: they count as out even if this throws.
        void got(void *const *objects, std::uint32_t n) {
            std::vector<std::pair<misuse_kind, const std::byte *>> faults; // empty ones allocate nothing
            for (std::uint32_t i = 0; i < n; ++i) {
                auto *const o = static_cast<std::byte *>(objects[i]);
                // relaxed: the exchange that handed the object over orders it against the put before.
                if constexpr (Kinds & double_free) out_[index(o)].store(true, std::memory_order_relaxed);
                if constexpr (Kinds & use_after_free) {
                    instrument::object_out(this, o, layout_.object_size);
                    if (!is_filled(o)) faults.emplace_back(misuse_kind::use_after_free, o);
                }
                if (!is_guarded(o)) {
                    mend(o);
                    faults.emplace_back(misuse_kind::overwritten, o);
                }
            }
            for (const auto &[kind, o] : faults)
                fault(kind, o,
                      kind == misuse_kind::overwritten ? overwritten : "was written after it was put");
        }

        /// The object is about to be put; false when it must not be. When this throws, it is out as before.
        bool putting(void *p) {
            auto *const o = static_cast<std::byte *>(p);
            if (!is_object(o)) return false;
            // First, since of two threads only one may go on. relaxed: only one exchange finds true; the pool
            // orders what is in the object.
            if constexpr (Kinds & double_free) {
                if (!out_[index(o)].exchange(false, std::memory_order_relaxed)) return report_double_free(o);
            }
            if (!is_guarded(o)) {
                mend(o);
                try {
                    fault(misuse_kind::overwritten, o, overwritten);
                } catch (...) {
                    if constexpr (Kinds & double_free)
                        out_[index(o)].store(true, std::memory_order_relaxed); // relaxed: as above
                    throw;
                }
            }
            if constexpr (Kinds & use_after_free) {
                fill(o);
                instrument::object_in(this, o, layout_.object_size);
            }
            return true;
        }

        static constexpr unsigned char filling = 0xa5;
        static constexpr const char *overwritten = "has bytes before or behind it that were overwritten";

        static std::uintptr_t address(const void *p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }
        template <class Body> void for_each(Body &&body) {
            for (std::uint32_t r = 0; r < memory_.regions(); ++r) {
                for (std::uint64_t i = 0; i < objects_in(r); ++i)
                    body(memory_.region(r) + i * layout_.stride);
            }
        }
        std::uint64_t objects_in(std::uint32_t region) const noexcept {
            return objects_on_node(layout_.objects, region, memory_.regions());
        }
        std::uint64_t index(const std::byte *o) const noexcept {
            const std::uint32_t region = memory_.region_of(o);
            return region * per_region_ +
                   static_cast<std::uint64_t>(o - memory_.region(region)) / layout_.stride;
        }

        bool is_object(const std::byte *o) {
            if (memory_.contains(o)) {
                const std::uint32_t region = memory_.region_of(o);
                const auto at = static_cast<std::uint64_t>(o - memory_.region(region));
                if (at % layout_.stride == 0 && at / layout_.stride < objects_in(region)) return true;
                fault(misuse_kind::misaligned_pointer, o, "points into the pool, but to no object's start");
            } else if (const std::uint64_t size = detail::checked_regions::object_size_at(o)) {
                fault(misuse_kind::other_pool, o,
                      "belongs to another pool, of objects of " + std::to_string(size) + " bytes");
            } else {
                fault(misuse_kind::foreign_pointer, o, "points to no object of this pool");
            }
            return false;
        }

        bool report_double_free(const std::byte *o) {
            fault(misuse_kind::double_free, o, "was put twice");
            return false;
        }

        void fault(misuse_kind kind, const void *object, const std::string &what) {
            report(misuse(kind, object,
                          detail::hexadecimal(object) + " " + what + " (" + name_.subject() + " of " +
                              std::to_string(layout_.objects) + " objects of " +
                              std::to_string(layout_.object_size) + " bytes at " +
                              detail::hexadecimal(memory_.data()) + ")"));
        }
        void report(const misuse &found) {
            if (!report_) throw found;
            report_(found);
        }

        /// Different everywhere, so that a copied neighbour, guards and all, is found as well.
        static std::uint64_t cookie(const std::byte *at) noexcept {
            return address(at) * 0x9e3779b97f4a7c15 ^ 0x5475726274656d21;
        }

        // The guards stay forbidden to the tools except inside these two. Both run for one object in one
        // thread at a time: the one that holds the object.
        bool is_guarded(const std::byte *o) const noexcept {
            bool whole = true;
            for_guards(o, [&](const std::byte *at, std::uint64_t expected) {
                whole = std::memcmp(at, &expected, guard) == 0 && whole;
            });
            return whole;
        }
        void mend(std::byte *o) const noexcept {
            for_guards(o, [](std::byte *at, std::uint64_t expected) { std::memcpy(at, &expected, guard); });
        }
        /// Before the first object of a region there is no guard, but a page that cannot be touched.
        template <class Byte, class Body> void for_guards(Byte *o, Body &&body) const noexcept {
            if constexpr (guard != 0) {
                auto with = [&](Byte *at) {
                    instrument::permit(at, guard);
                    body(at, cookie(at));
                    instrument::forbid(at, guard);
                };
                with(o + layout_.object_size);
                if (o != memory_.region(memory_.region_of(o))) with(o - guard);
            }
        }

        void fill(std::byte *o) const noexcept { std::memset(o, filling, layout_.object_size); }
        bool is_filled(std::byte *o) const noexcept {
            instrument::permit(o, layout_.object_size);
            const auto *bytes = reinterpret_cast<const unsigned char *>(o);
            const bool intact =
                bytes[0] == filling && std::memcmp(bytes, bytes + 1, layout_.object_size - 1) == 0;
            instrument::uninitialised(o, layout_.object_size);
            return intact;
        }

        pool_name name_;
        const mapping &memory_;
        object_layout layout_;
        std::function<void(const misuse &)> report_;
        std::uint64_t per_region_;
        lease lease_;
        std::optional<detail::checked_regions> regions_;
        std::unique_ptr<std::atomic<bool>[]> out_;
    };
};

} // namespace checking
} // namespace turbomem
