// SPDX-License-Identifier: BSD-3-Clause
/** Runs an actor's tape. The measured loop: nothing here allocates, locks or knows Python. */
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "call_timer.hpp"
#include "checked_calls.hpp"
#include "clock.hpp"
#include "half_wait.hpp"
#include "ledger.hpp"
#include "queue.hpp"
#include "recorder.hpp"
#include "ring.hpp"
#include "tagged.hpp"
#include "touch.hpp"
#include "trace.hpp"

namespace allocmark {

/** One pool as one actor sees it, in one cache line. */
struct alignas(Arena::kLine) PoolView {
    void *pool;
    void *local; // the actor's thread handle
    Ring held;
    uint64_t object_size;
};

/** What is done besides the workload. Each has its own loop, so that the measured loop pays for none. */
enum class Watch {
    kNothing, // the measured loop
    kVerify,  // every object is stamped and checked; touches nothing else
    kCalls,   // some gets and puts are timed
    kTrace,   // actors take turns, gets and puts are written down
    kRecord   // gets are written down, and nothing else is different
};

/** What all actors of an engine share. The flags are read once per iteration, or while waiting. */
struct Shared {
    alignas(128) std::atomic<bool> stop{false};  // an uncoupled actor is done: the others stop as well
    alignas(128) std::atomic<bool> abort{false}; // something went wrong: leave as soon as possible
    std::mutex trouble_mutex;
    am_trouble trouble{};
    Ledger *ledger = nullptr;
    Trace *trace = nullptr; // while an engine traces
    uint64_t stall_ns = 0;

    /** Keeps the first trouble only, and makes everyone leave. */
    void fail(const am_trouble &found) {
        const std::lock_guard lock(trouble_mutex);
        if (trouble.kind == AM_NONE) trouble = found;
        // release: whoever sees it may read `trouble` (under the mutex anyway).
        abort.store(true, std::memory_order_release);
    }
};

/** One actor's state: all of it is in the actor's arena. */
class alignas(Arena::kLine) Interpreter {
  public:
    Interpreter(int32_t actor, const allocmark_backend &backend, Shared &shared, std::span<PoolView> pools,
                std::span<Queue *const> queues, std::span<const uint32_t> indices, Arena &arena)
        : actor_(actor), get_(backend.get_bulk), put_(backend.put_bulk), get_sized_(backend.get_sized),
          resize_(backend.resize), put_all_(backend.put_all), shared_(shared), pools_(pools), queues_(queues),
          half_waits_(arena.array<HalfWait>("waits", queues.size())), indices_(indices.data()) {
        for (const am_call call : {AM_CALL_GET, AM_CALL_PUT})
            timers_[call] = arena.make<CallTimer>("timer", call);
    }

    /** Runs `tape` up to AM_HALT. False when the engine is to stop: trouble, here or elsewhere. */
    bool run(const am_insn *tape, Watch watch) {
        switch (watch) {
        case Watch::kNothing:
            return run_as<Watch::kNothing>(tape);
        case Watch::kVerify:
            return run_as<Watch::kVerify>(tape);
        case Watch::kCalls:
            return run_as<Watch::kCalls>(tape);
        case Watch::kTrace:
            return run_as<Watch::kTrace>(tape);
        case Watch::kRecord:
            return run_as<Watch::kRecord>(tape);
        }
        __builtin_unreachable();
    }

    /** Puts back everything held. */
    bool drain() { return shared_.ledger ? drain_as<Watch::kVerify>() : drain_as<Watch::kNothing>(); }

    /** Puts back what waits in a queue of this pool's objects. */
    void empty(uint32_t queue, uint32_t pool) {
        void *object;
        while (queues_[queue]->receive(&object, 1)) put_(pools_[pool].pool, pools_[pool].local, &object, 1);
    }

    /** The same of a queue that carries objects of several pools. */
    void empty_mixed(uint32_t queue) {
        void *object;
        while (queues_[queue]->receive(&object, 1)) put_mixed<Watch::kNothing>(&object, 1, 0);
    }

    int32_t actor() const { return actor_; }
    std::span<PoolView> pools() const { return pools_; }
    uint64_t idle_ns() const { return idle_ns_; }
    uint64_t failed_gets() const { return failed_gets_; }
    void clear_counters() { idle_ns_ = failed_gets_ = 0; }
    CallTimer &timer(am_call call) const { return *timers_[call]; }
    Recorder &recorder() { return recorder_; }

  private:
    enum class Touch { kNone, kRead, kWrite };

    template <Watch kWatch> bool run_as(const am_insn *tape);

    template <Watch kWatch> bool drain_as() {
        static constexpr uint32_t kBulk = 32;
        for (uint32_t pool = 0; pool + 1 < pools_.size(); ++pool)
            while (const uint32_t n = std::min(pools_[pool].held.size(), kBulk))
                if (!put_oldest<kWatch>(pool, n, 1, 0)) return false;
        while (const uint32_t n = std::min(mixed().held.size(), kBulk))
            if (!put_mixed_oldest<kWatch>(n, 1, 0)) return false;
        return true;
    }

    /** Before whatever others can see. */
    template <Watch kWatch> void others_first() const {
        if constexpr (kWatch == Watch::kTrace) shared_.trace->turns.pass_on(uint32_t(actor_));
    }

    /** The bare call; in the verifying mode it fails for good when it did something else as well. */
    template <Watch kWatch>
    [[gnu::always_inline]] int call(int (*get)(void *, void *, void **, uint32_t), void *pool, void *local,
                                    void **objects, uint32_t n, const am_insn &insn) {
        if constexpr (kWatch != Watch::kVerify) {
            return get(pool, local, objects, n);
        } else {
            int code;
            am_trouble trouble;
            if (checked_get(get, pool, local, objects, n, {actor_, insn.target, insn.step}, code, trouble))
                return code;
            shared_.fail(trouble);
            return -ECANCELED;
        }
    }

    /** One bulk from a pool. */
    template <Watch kWatch>
    [[gnu::always_inline]] bool take(int (*get)(void *, void *, void **, uint32_t), PoolView &view,
                                     void *pool, void *local, void **objects, uint32_t n,
                                     const am_insn &insn) {
        others_first<kWatch>();
        const bool timed = kWatch == Watch::kCalls && timer(AM_CALL_GET).due();
        const uint64_t begin = timed ? ticks() : 0;
        if constexpr (kWatch == Watch::kTrace) shared_.trace->calling(insn.target, local);
        if (call<kWatch>(get, pool, local, objects, n, insn) != 0) [[unlikely]]
            if (!get_again<kWatch>(view, objects, insn)) return false;
        if (timed) timer(AM_CALL_GET).add(begin, ticks());
        if constexpr (kWatch == Watch::kTrace)
            shared_.trace->got(uint32_t(actor_), insn.target, local, objects, n);
        if constexpr (kWatch == Watch::kRecord) recorder_.got(uint32_t(actor_), insn.target, objects, n);
        if constexpr (kWatch == Watch::kVerify) {
            am_trouble trouble;
            if (!shared_.ledger->out({actor_, insn.target, insn.step}, objects, n, trouble))
                return failed(trouble);
        }
        return true;
    }

    /** One bulk back. */
    template <Watch kWatch>
    [[gnu::always_inline]] bool give(void (*put)(void *, void *, void *const *, uint32_t), void *pool,
                                     void *local, void *const *objects, uint32_t n, uint32_t target,
                                     uint32_t step) {
        return give_by<kWatch>(local, objects, n, target, step, [&]() __attribute__((always_inline)) {
            if constexpr (kWatch == Watch::kVerify) {
                am_trouble trouble;
                return checked_put(put, pool, local, objects, n, {actor_, target, step}, trouble) ||
                       failed(trouble);
            }
            put(pool, local, objects, n);
            return true;
        });
    }

    /** Objects back by a call that is watched. */
    template <Watch kWatch, class Call>
    [[gnu::always_inline]] bool give_by(void *local, void *const *objects, uint32_t n, uint32_t target,
                                        uint32_t step, Call put) {
        if (kWatch == Watch::kVerify && !leaves(target, objects, n, step)) return false;
        if constexpr (kWatch == Watch::kTrace) {
            others_first<kWatch>();
            shared_.trace->putting(uint32_t(actor_), target, local, objects, n);
        }
        const bool timed = kWatch == Watch::kCalls && timer(AM_CALL_PUT).due();
        const uint64_t begin = timed ? ticks() : 0;
        if (!put()) return false;
        if (timed) timer(AM_CALL_PUT).add(begin, ticks());
        if constexpr (kWatch == Watch::kTrace) shared_.trace->put(uint32_t(actor_), target, local, n);
        return true;
    }

    // Everything a loop needs is in locals: after a call into the backend, members would be read again.
    template <Watch kWatch, Touch kTouch> bool get(const am_insn &insn) {
        PoolView &view = pools_[insn.target];
        void *const pool = view.pool, *const local = view.local;
        const auto get = get_;
        const uint32_t n = insn.n, bytes = insn.aux;
        void **objects = view.held.room();
        for (uint32_t times = insn.arg; times > 0; --times, objects += n) {
            if (!take<kWatch>(get, view, pool, local, objects, n, insn)) [[unlikely]] {
                view.held.grow(n * (insn.arg - times)); // what it has got can be put back
                return false;
            }
            if constexpr (kWatch != Watch::kVerify)
                if (touches<kWatch>()) touch<kTouch>(objects, n, bytes);
        }
        view.held.grow(n * insn.arg);
        return true;
    }

    /** Whether what objects hold matters. */
    template <Watch kWatch> bool touches() const {
        if constexpr (kWatch == Watch::kTrace) return shared_.trace->touches();
        return true;
    }

    template <Touch kTouch> void touch(void *const *objects, uint32_t n, uint32_t bytes) const {
        if constexpr (kTouch == Touch::kWrite) allocmark::touch::write(objects, n, bytes, uint64_t(actor_));
        if constexpr (kTouch == Touch::kRead) allocmark::touch::read(objects, n, bytes);
    }

    template <Watch kWatch, Touch kTouch> bool touch_newest(const am_insn &insn) {
        void **objects = pools_[insn.target].held.newest(insn.n);
        if constexpr (kWatch == Watch::kVerify) return still_held(insn.target, objects, insn.n, insn.step);
        if (touches<kWatch>()) touch<kTouch>(objects, insn.n, insn.arg);
        return true;
    }

    template <Watch kWatch> bool put_oldest(uint32_t target, uint32_t n, uint32_t times, uint32_t step) {
        PoolView &view = pools_[target];
        void *const pool = view.pool, *const local = view.local;
        const auto put = put_;
        void **objects = view.held.oldest();
        for (uint32_t left = times; left > 0; --left, objects += n) {
            if (!give<kWatch>(put, pool, local, objects, n, target, step)) return false;
        }
        view.held.drop_oldest(n * times);
        return true;
    }

    template <Watch kWatch> bool put_newest(uint32_t target, uint32_t n, uint32_t times, uint32_t step) {
        PoolView &view = pools_[target];
        void *const pool = view.pool, *const local = view.local;
        const auto put = put_;
        void **objects = view.held.newest(n * times) + size_t(n) * (times - 1); // the youngest first
        for (uint32_t left = times; left > 0; --left, objects -= n) {
            if (!give<kWatch>(put, pool, local, objects, n, target, step)) return false;
        }
        view.held.drop_newest(n * times);
        return true;
    }

    /** Brings the chosen ones to the old end one after the other, then puts them as a bulk. */
    template <Watch kWatch> bool put_random(const am_insn &insn) {
        void **objects = pools_[insn.target].held.oldest();
        const uint32_t *index = indices_ + insn.arg;
        for (uint32_t i = 0; i < insn.n; ++i) std::swap(objects[i], objects[i + index[i]]);
        return put_oldest<kWatch>(insn.target, insn.n, 1, insn.step);
    }

    template <Watch kWatch>
    [[gnu::always_inline]] bool enqueue(void **objects, uint32_t pool, const am_insn &insn) {
        others_first<kWatch>();
        Queue &queue = *queues_[insn.target];
        if (queue.send(objects, insn.n)) [[likely]]
            return true;
        if (kWatch != Watch::kTrace) half_waits_[insn.target]([&] { return queue.room(); }, queue.half());
        return keep_trying<kWatch>([&] { return queue.send(objects, insn.n); }, AM_BLOCKED, pool, insn);
    }

    template <Watch kWatch>
    [[gnu::always_inline]] bool dequeue(void **objects, uint32_t pool, const am_insn &insn) {
        others_first<kWatch>();
        Queue &queue = *queues_[insn.target];
        if (queue.receive(objects, insn.n)) [[likely]]
            return true;
        if (kWatch != Watch::kTrace) half_waits_[insn.target]([&] { return queue.filled(); }, queue.half());
        return keep_trying<kWatch>([&] { return queue.receive(objects, insn.n); }, AM_BLOCKED, pool, insn);
    }

    template <Watch kWatch> bool send(const am_insn &insn) {
        Ring &held = pools_[insn.aux].held;
        void **objects = held.oldest();
        if (kWatch == Watch::kVerify && !still_held(insn.aux, objects, insn.n, insn.step)) return false;
        if (!enqueue<kWatch>(objects, insn.aux, insn)) return false;
        held.drop_oldest(insn.n);
        return true;
    }

    template <Watch kWatch> bool receive(const am_insn &insn) {
        Ring &held = pools_[insn.aux].held;
        void **objects = held.room();
        if (!dequeue<kWatch>(objects, insn.aux, insn)) return false;
        if (kWatch == Watch::kVerify && !still_held(insn.aux, objects, insn.n, insn.step)) return false;
        held.grow(insn.n);
        return true;
    }

    template <Watch kWatch>
    [[gnu::noinline]] bool get_again(PoolView &view, void **objects, const am_insn &insn) {
        return try_again<kWatch>(
            [&] { return call<kWatch>(get_, view.pool, view.local, objects, insn.n, insn); }, insn.target,
            insn);
    }

    // What follows is not in the paths that are above: it may cost a branch more.

    PoolView &mixed() const { return pools_[pools_.size() - 1]; }

    /** One bulk from a pool, of a size of its own, or all zeros. */
    template <Watch kWatch> bool take_sized(PoolView &view, void **objects, const am_insn &insn) {
        // Checked objects are stamped as a whole.
        const uint64_t size = kWatch == Watch::kVerify ? view.object_size : insn.arg;
        const uint32_t n = insn.n, zeroed = insn.aux;
        const auto attempt = [&] {
            return get_sized_ ? get_sized_(view.pool, view.local, objects, n, size, zeroed)
                              : call<kWatch>(get_, view.pool, view.local, objects, n, insn);
        };
        others_first<kWatch>();
        const bool timed = kWatch == Watch::kCalls && timer(AM_CALL_GET).due();
        const uint64_t begin = timed ? ticks() : 0;
        if constexpr (kWatch == Watch::kTrace) shared_.trace->calling(insn.target, view.local);
        if (attempt() != 0) [[unlikely]]
            if (!try_again<kWatch>(attempt, insn.target, insn)) return false;
        if (zeroed && !get_sized_ && touches<kWatch>())
            for (uint32_t i = 0; i < n; ++i) std::memset(objects[i], 0, size);
        if (timed) timer(AM_CALL_GET).add(begin, ticks());
        if (kWatch == Watch::kVerify && zeroed)
            for (uint32_t i = 0; i < n; ++i)
                if (!all_zeros(static_cast<const unsigned char *>(objects[i]), size))
                    return failed(trouble_of(AM_NOT_ZEROED, {actor_, insn.target, insn.step},
                                             reinterpret_cast<uintptr_t>(objects[i])));
        return taken<kWatch>(insn.target, view, objects, n, insn.step);
    }

    static bool all_zeros(const unsigned char *bytes, uint64_t n) {
        return std::all_of(bytes, bytes + n, [](unsigned char byte) { return byte == 0; });
    }

    /** Tells those who watch of a get that is done. */
    template <Watch kWatch>
    bool taken(uint32_t target, PoolView &view, void *const *objects, uint32_t n, uint32_t step) {
        if constexpr (kWatch == Watch::kTrace)
            shared_.trace->got(uint32_t(actor_), target, view.local, objects, n);
        if constexpr (kWatch == Watch::kRecord) recorder_.got(uint32_t(actor_), target, objects, n);
        if constexpr (kWatch == Watch::kVerify) {
            am_trouble trouble;
            if (!shared_.ledger->out({actor_, target, step}, objects, n, trouble)) return failed(trouble);
        }
        return true;
    }

    template <Watch kWatch> bool get_sized(const am_insn &insn) {
        PoolView &view = pools_[insn.target];
        if (!take_sized<kWatch>(view, view.held.room(), insn)) return false;
        view.held.grow(insn.n);
        return true;
    }

    template <Watch kWatch> bool mixed_get(const am_insn &insn) {
        PoolView &view = pools_[insn.target];
        Ring &held = mixed().held;
        void **objects = held.room();
        const bool good = insn.arg ? take_sized<kWatch>(view, objects, insn)
                                   : take<kWatch>(get_, view, view.pool, view.local, objects, insn.n, insn);
        if (!good) return false;
        for (uint32_t i = 0; i < insn.n; ++i) {
            if (!can_be_tagged(objects[i])) [[unlikely]]
                return failed(trouble_of(AM_TAGGED, {actor_, insn.target, insn.step},
                                         reinterpret_cast<uintptr_t>(objects[i])));
            objects[i] = tagged(objects[i], insn.target);
        }
        held.grow(insn.n);
        return true;
    }

    template <Watch kWatch>
    bool touch_one(void *object, uint32_t pool, uint32_t bytes, bool write, uint32_t step) {
        if constexpr (kWatch == Watch::kVerify) return still_held(pool, &object, 1, step);
        if (!touches<kWatch>()) return true;
        if (write)
            touch<Touch::kWrite>(&object, 1, bytes);
        else
            touch<Touch::kRead>(&object, 1, bytes);
        return true;
    }

    template <Watch kWatch> bool touch_at(const am_insn &insn) {
        PoolView &view = pools_[insn.target];
        void *const object = *view.held.newest(insn.n);
        const uint32_t pool = &view == &mixed() ? tag_of(object) : insn.target;
        return touch_one<kWatch>(untagged(object), pool, insn.arg, insn.aux, insn.step);
    }

    template <Watch kWatch> bool mixed_touch(const am_insn &insn, bool write) {
        void *const *objects = mixed().held.newest(insn.n);
        for (uint32_t i = 0; i < insn.n; ++i) {
            const uint32_t pool = tag_of(objects[i]);
            const uint64_t bytes = std::min<uint64_t>(insn.arg, pools_[pool].object_size);
            if (!touch_one<kWatch>(untagged(objects[i]), pool, uint32_t(bytes), write, insn.step))
                return false;
        }
        return true;
    }

    /** Puts what leaves the mixed ring, in its order: a bulk of each run of objects of one pool. */
    template <Watch kWatch> bool put_mixed(void **objects, uint32_t n, uint32_t step) {
        for (uint32_t done = 0; done < n;) {
            const uint32_t pool = tag_of(objects[done]);
            uint32_t end = done;
            do objects[end] = untagged(objects[end]);
            while (++end < n && tag_of(objects[end]) == pool);
            const PoolView &view = pools_[pool];
            if (!give<kWatch>(put_, view.pool, view.local, objects + done, end - done, pool, step))
                return false;
            done = end;
        }
        return true;
    }

    template <Watch kWatch> bool put_mixed_oldest(uint32_t n, uint32_t times, uint32_t step) {
        Ring &held = mixed().held;
        for (; times > 0; --times) {
            if (!put_mixed<kWatch>(held.oldest(), n, step)) return false;
            held.drop_oldest(n);
        }
        return true;
    }

    template <Watch kWatch> bool put_mixed_newest(uint32_t n, uint32_t times, uint32_t step) {
        Ring &held = mixed().held;
        for (; times > 0; --times) {
            if (!put_mixed<kWatch>(held.newest(n), n, step)) return false;
            held.drop_newest(n);
        }
        return true;
    }

    template <Watch kWatch> bool put_mixed_random(const am_insn &insn) {
        void **objects = mixed().held.oldest();
        const uint32_t *index = indices_ + insn.arg;
        for (uint32_t i = 0; i < insn.n; ++i) std::swap(objects[i], objects[i + index[i]]);
        return put_mixed_oldest<kWatch>(insn.n, 1, insn.step);
    }

    /** In the verifying mode: objects of the mixed ring, or of a queue. */
    bool still_held_mixed(void *const *objects, uint32_t n, uint32_t step) {
        for (uint32_t i = 0; i < n; ++i) {
            void *const object = untagged(objects[i]);
            if (!still_held(tag_of(objects[i]), &object, 1, step)) return false;
        }
        return true;
    }

    template <Watch kWatch> bool mixed_send(const am_insn &insn) {
        Ring &held = mixed().held;
        void **objects = held.oldest();
        if (kWatch == Watch::kVerify && !still_held_mixed(objects, insn.n, insn.step)) return false;
        if (!enqueue<kWatch>(objects, 0, insn)) return false;
        held.drop_oldest(insn.n);
        return true;
    }

    template <Watch kWatch> bool mixed_receive(const am_insn &insn) {
        Ring &held = mixed().held;
        void **objects = held.room();
        if (!dequeue<kWatch>(objects, 0, insn)) return false;
        if (kWatch == Watch::kVerify && !still_held_mixed(objects, insn.n, insn.step)) return false;
        held.grow(insn.n);
        return true;
    }

    template <Watch kWatch> bool put_all(const am_insn &insn) {
        if (!put_all_) return put_oldest<kWatch>(insn.target, insn.n, 1, insn.step);
        PoolView &view = pools_[insn.target];
        const auto put = [&] {
            put_all_(view.pool, view.local);
            return true;
        };
        if (!give_by<kWatch>(view.local, view.held.oldest(), insn.n, insn.target, insn.step, put))
            return false;
        view.held.drop_oldest(insn.n);
        return true;
    }

    template <Watch kWatch> bool resize(const am_insn &insn) {
        PoolView &from = pools_[insn.target], &to = pools_[insn.aux];
        for (uint32_t i = 0; i < insn.n; ++i) {
            void **const old = insn.arg ? from.held.newest(1) : from.held.oldest();
            if (!resized<kWatch>(from, to, *old, to.held.room(), insn)) return false;
            to.held.grow(1);
            if (insn.arg)
                from.held.drop_newest(1);
            else
                from.held.drop_oldest(1);
        }
        return true;
    }

    /** One object of another pool, with the content of `old`, which is gone. */
    template <Watch kWatch>
    bool resized(PoolView &from, PoolView &to, void *old, void **object, const am_insn &insn) {
        const size_t kept = std::min(from.object_size, to.object_size);
        am_insn get = insn; // as if it were one
        get.target = insn.aux;
        get.n = 1;
        if (!resize_) {
            if (!take<kWatch>(get_, to, to.pool, to.local, object, 1, get)) return false;
            if (kWatch != Watch::kVerify && touches<kWatch>())
                std::memcpy(*object, old, kept); // a stamp is its object's own
            return give<kWatch>(put_, from.pool, from.local, &old, 1, insn.target, insn.step);
        }
        std::vector<char> content;
        if constexpr (kWatch == Watch::kVerify) {
            content.assign(static_cast<char *>(old), static_cast<char *>(old) + kept);
            if (!leaves(insn.target, &old, 1, insn.step)) return false;
        }
        others_first<kWatch>();
        if constexpr (kWatch == Watch::kTrace)
            shared_.trace->putting(uint32_t(actor_), insn.target, from.local, &old, 1);
        const bool timed = kWatch == Watch::kCalls && timer(AM_CALL_GET).due();
        const uint64_t begin = timed ? ticks() : 0;
        const auto attempt = [&] {
            *object = old;
            return resize_(from.pool, from.local, to.pool, to.local, object);
        };
        if (attempt() != 0) [[unlikely]]
            if (!try_again<kWatch>(attempt, insn.aux, get)) return false;
        if (timed) timer(AM_CALL_GET).add(begin, ticks());
        if constexpr (kWatch == Watch::kTrace) {
            shared_.trace->put(uint32_t(actor_), insn.target, from.local, 1);
            shared_.trace->calling(insn.aux, to.local);
        }
        if (kWatch == Watch::kVerify && std::memcmp(content.data(), *object, kept) != 0)
            return failed(
                trouble_of(AM_NOT_KEPT, {actor_, insn.aux, insn.step}, reinterpret_cast<uintptr_t>(*object)));
        return taken<kWatch>(insn.aux, to, object, 1, insn.step);
    }

    template <Watch kWatch, class Try> bool try_again(Try attempt, uint32_t pool, const am_insn &insn) {
        if (kWatch == Watch::kTrace && shared_.trace->ends_here(pool)) {
            // release: as Shared::fail.
            shared_.abort.store(true, std::memory_order_release);
            return false;
        }
        return keep_trying<kWatch>(
            [&] {
                ++failed_gets_;
                return attempt() == 0;
            },
            AM_EXHAUSTED, pool, insn);
    }

    template <Watch kWatch, class Try>
    [[gnu::noinline]] bool keep_trying(Try attempt, am_trouble_kind kind, uint32_t pool,
                                       const am_insn &insn) {
        Patience patience(shared_.stall_ns);
        while (!attempt()) {
            // acquire: pairs with Shared::fail.
            if (shared_.abort.load(std::memory_order_acquire)) return false;
            others_first<kWatch>();
            if (!patience.lost()) continue;
            am_trouble trouble{};
            trouble.kind = kind;
            trouble.pool = pool;
            trouble.step = insn.step;
            trouble.actor = actor_;
            trouble.other_actor = -1;
            trouble.figure = insn.n;
            return failed(trouble);
        }
        return true;
    }

    bool still_held(uint32_t pool, void *const *objects, uint32_t n, uint32_t step) {
        am_trouble trouble;
        return shared_.ledger->check({actor_, pool, step}, objects, n, trouble) || failed(trouble);
    }

    bool leaves(uint32_t pool, void *const *objects, uint32_t n, uint32_t step) {
        am_trouble trouble;
        return shared_.ledger->back({actor_, pool, step}, objects, n, trouble) || failed(trouble);
    }

    bool failed(const am_trouble &trouble) {
        shared_.fail(trouble);
        return false;
    }

    /** The instructions behind AM_HALT, in a function of their own: so they change nothing in the others'
     * code. */
    template <Watch kWatch> [[gnu::noinline]] bool run_other(const am_insn &insn) {
        switch (insn.op) {
        case AM_GET_SIZED:
            return get_sized<kWatch>(insn);
        case AM_TOUCH_AT:
            return touch_at<kWatch>(insn);
        case AM_RESIZE:
            return resize<kWatch>(insn);
        case AM_MIXED_GET:
            return mixed_get<kWatch>(insn);
        case AM_MIXED_READ:
            return mixed_touch<kWatch>(insn, false);
        case AM_MIXED_WRITE:
            return mixed_touch<kWatch>(insn, true);
        case AM_MIXED_PUT_OLDEST:
            return put_mixed_oldest<kWatch>(insn.n, insn.arg, insn.step);
        case AM_MIXED_PUT_NEWEST:
            return put_mixed_newest<kWatch>(insn.n, insn.arg, insn.step);
        case AM_MIXED_PUT_RANDOM:
            return put_mixed_random<kWatch>(insn);
        case AM_MIXED_SEND:
            return mixed_send<kWatch>(insn);
        case AM_MIXED_RECEIVE:
            return mixed_receive<kWatch>(insn);
        case AM_PUT_ALL:
            return put_all<kWatch>(insn);
        }
        __builtin_unreachable();
    }

    void idle(uint32_t ns) {
        const uint64_t start = now_ns();
        uint64_t now;
        do {
            cpu_relax();
            now = now_ns();
        } while (now - start < ns);
        idle_ns_ += now - start;
    }

    const int32_t actor_;
    int (*const get_)(void *, void *, void **, uint32_t);
    void (*const put_)(void *, void *, void *const *, uint32_t);
    decltype(allocmark_backend::get_sized) const get_sized_; // null: the backend has none
    decltype(allocmark_backend::resize) const resize_;       // the same
    decltype(allocmark_backend::put_all) const put_all_;     // the same
    Shared &shared_;
    const std::span<PoolView> pools_; // the last one is the mixed ring
    const std::span<Queue *const> queues_;
    const std::span<HalfWait> half_waits_; // by queue
    const uint32_t *const indices_;
    uint64_t idle_ns_ = 0, failed_gets_ = 0;
    CallTimer *timers_[AM_CALLS];
    Recorder recorder_;
};

template <Watch kWatch> bool Interpreter::run_as(const am_insn *tape) {
    // A jump at the end of each instruction, not one for all: the processor learns what follows what.
    static const void *const kLabels[AM_OPS] = {
        &&get,        &&get_read, &&get_write, &&read,  &&write, &&put_oldest, &&put_newest,
        &&put_random, &&send,     &&receive,   &&idle,  &&loop,  &&end,        &&halt,
        &&other,      &&other,    &&other,     &&other, &&other, &&other,      &&other,
        &&other,      &&other,    &&other,     &&other, &&other};
    uint32_t left[AM_LOOP_DEPTH];
    uint32_t depth = 0;
    const am_insn *insn = tape;

#define ALLOCMARK_NEXT() goto *kLabels[(++insn)->op]

    goto *kLabels[insn->op];
get:
    if (!get<kWatch, Touch::kNone>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
get_read:
    if (!get<kWatch, Touch::kRead>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
get_write:
    if (!get<kWatch, Touch::kWrite>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
read:
    if (!touch_newest<kWatch, Touch::kRead>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
write:
    if (!touch_newest<kWatch, Touch::kWrite>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
put_oldest:
    if (!put_oldest<kWatch>(insn->target, insn->n, insn->arg, insn->step)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
put_newest:
    if (!put_newest<kWatch>(insn->target, insn->n, insn->arg, insn->step)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
put_random:
    if (!put_random<kWatch>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
send:
    if (!send<kWatch>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
receive:
    if (!receive<kWatch>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
idle:
    if constexpr (kWatch != Watch::kTrace) idle(insn->n); // no clock is read there
    ALLOCMARK_NEXT();
other:
    if (!run_other<kWatch>(*insn)) [[unlikely]]
        return false;
    ALLOCMARK_NEXT();
loop:
    left[depth++] = insn->arg;
    ALLOCMARK_NEXT();
end:
    if (--left[depth - 1] > 0)
        insn = tape + insn->arg - 1;
    else
        --depth;
    ALLOCMARK_NEXT();
halt:
#undef ALLOCMARK_NEXT
    return true;
}

} // namespace allocmark
