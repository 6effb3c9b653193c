// SPDX-License-Identifier: BSD-3-Clause
#include "audited.hpp"

#include <algorithm>
#include <cinttypes>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "backend_table.hpp"

namespace allocmark::audit {

namespace {

constexpr const char *kNegative = "expected 0, or a negative errno value";

/** Ends the audit unless `code` is 0. */
void must_serve(const char *what, int code, const allocmark_error &error) {
    if (code > 0) fault("%s returned %d: %s", what, code, kNegative);
    if (code == 0) return;
    const std::string said = error.message[0] ? error.message : std::generic_category().message(-code);
    throw NotServed(std::string(what) + ": " + said);
}

} // namespace

void fault(const char *format, ...) {
    char line[sizeof(allocmark_error::message)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    throw Fault(line);
}

void on_threads(uint32_t n, const std::function<void(uint32_t)> &work) {
    struct Watched {
        std::mutex mutex;
        std::condition_variable changed;
        uint32_t done = 0;
        std::exception_ptr thrown;
        std::function<void(uint32_t)> work;
    };
    const auto watched = std::make_shared<Watched>(); // a thread that is left behind still uses it
    watched->work = work;
    std::vector<std::thread> running;
    for (uint32_t i = 0; i < n; ++i)
        running.emplace_back([watched, i] {
            std::exception_ptr thrown;
            try {
                watched->work(i);
            } catch (...) {
                thrown = std::current_exception();
            }
            const std::lock_guard lock(watched->mutex);
            if (!watched->thrown) watched->thrown = thrown;
            ++watched->done;
            watched->changed.notify_one();
        });
    std::unique_lock lock(watched->mutex);
    watched->changed.wait(lock, [&] { return watched->done == n || watched->thrown; });
    const bool ended =
        watched->changed.wait_for(lock, std::chrono::seconds(1), [&] { return watched->done == n; });
    const std::exception_ptr thrown = watched->thrown;
    lock.unlock();
    for (std::thread &each : running) ended ? each.join() : each.detach();
    if (thrown) std::rethrow_exception(thrown);
}

Subject::Subject(const am_audit &asked)
    : audit(asked), before(ProcessMemory::now()), table(table_of(asked.table)) {
    allocmark_init init{};
    init.size = sizeof init;
    init.n_options = audit.n_options;
    init.options = audit.options;
    init.max_threads = audit.threads;
    init.pool_bytes = uint64_t(32) << 20; // more than any check has at once
    allocmark_error error{};
    must_serve("init", table.init(&init, &error), error);
    started_ = true;
}

void Subject::finish() {
    if (started_ && table.fini) table.fini();
    started_ = false;
}

AuditedPool::AuditedPool(Subject &of, const Shape &wanted)
    : subject(of), shape(wanted), before(ProcessMemory::now()) {
    const allocmark_pool_spec spec = {
        .size = sizeof spec,
        .cache = shape.cache,
        .name = "objects",
        .object_size = shape.object_size,
        .objects = shape.objects,
        .alignment = 0,
        .working_set = shape.working_set ? shape.working_set : shape.objects,
        .node = -1,
        .max_threads = subject.audit.threads,
    };
    allocmark_error error{};
    must_serve("pool_create", subject.table.pool_create(&spec, &handle, &error), error);
    capacity_ = shape.objects;
    if (!counts() || !subject.table.available) return;
    const uint64_t told = subject.table.available(handle);
    if (told < shape.objects || told > 64 * shape.objects)
        fault("available says %" PRIu64 " for a new pool of %" PRIu64 " objects", told, shape.objects);
    capacity_ = told;
}

void AuditedPool::must_count(uint64_t out, const char *when) const {
    if (!counts() || !subject.table.available) return;
    const uint64_t told = subject.table.available(handle);
    if (told != capacity_ - out)
        fault("available says %" PRIu64 " %s, and %" PRIu64 " of the pool's %" PRIu64 " objects are out",
              told, when, out, capacity_);
}

bool AuditedPool::fact(const char *key, uint64_t &value) const {
    if (!subject.table.facts) return false;
    struct Asked {
        std::string_view key;
        uint64_t *value;
        bool told;
    } asked = {key, &value, false};
    subject.table.facts(
        handle,
        [](void *context, const char *name, const char *text) {
            auto &wanted = *static_cast<Asked *>(context);
            if (name && text && wanted.key == name) wanted.told = sscanf(text, "%" SCNu64, wanted.value) == 1;
        },
        &asked);
    return asked.told;
}

Member::Member(AuditedPool &pool, uint32_t slot) : pool_(pool) {
    const allocmark_thread who = {sizeof who, slot, -1, -1};
    allocmark_error error{};
    must_serve("thread_enter", pool.subject.table.thread_enter(pool.handle, &who, &local_, &error), error);
}

void Member::leave() {
    pool_.subject.calls.fetch_add(calls_ % kTold, std::memory_order_relaxed);
    pool_.subject.table.thread_leave(pool_.handle, local_);
}

/** Told now and then: threads that share a counter would wait for each other. */
void Member::one_more_call() {
    if (++calls_ % kTold == 0) pool_.subject.calls.fetch_add(kTold, std::memory_order_relaxed);
}

bool Member::get(void **objects, uint32_t n) {
    void **const room = guarded_.room(n);
    const int code = pool_.subject.table.get_bulk(pool_.handle, local_, room, n);
    one_more_call();
    int64_t index;
    if (code > 0) fault("get_bulk returned %d: %s", code, kNegative);
    if (guarded_.written_outside(index))
        fault("get_bulk of %u wrote to objects[%" PRId64 "]%s", n, index, code ? ", and then failed" : "");
    if (code != 0) return false;
    if (guarded_.left_out(index)) fault("get_bulk of %u did not fill in objects[%" PRId64 "]", n, index);
    for (uint32_t i = 0; i < n; ++i)
        if (!room[i]) fault("get_bulk of %u handed out a null pointer as objects[%u]", n, i);
    std::memcpy(objects, room, n * sizeof *objects);
    return true;
}

void Member::put(void *const *objects, uint32_t n) {
    copy_.of(objects, n);
    pool_.subject.table.put_bulk(pool_.handle, local_, objects, n);
    one_more_call();
    int64_t index;
    if (copy_.changed(objects, index))
        fault("put_bulk of %u changed objects[%" PRId64 "] of the array it was given, which is const", n,
              index);
}

bool Member::get(std::vector<void *> &held, uint32_t n) {
    const size_t before = held.size();
    held.resize(before + n);
    if (get(held.data() + before, n)) return true;
    held.resize(before);
    return false;
}

void Member::must_get(std::vector<void *> &held, uint32_t n) {
    if (!get(held, n))
        fault("get_bulk of %u failed, though %zu of the pool's %" PRIu64
              " objects are out and no other thread is inside",
              n, held.size(), pool_.capacity());
}

void Member::must_get_sized(std::vector<void *> &held, uint32_t n, uint64_t size, bool zeroed) {
    std::vector<void *> got(n);
    const int code = pool_.subject.table.get_sized(pool_.handle, local_, got.data(), n, size, zeroed);
    one_more_call();
    if (code != 0)
        fault("get_sized of %" PRIu64 " bytes returned %d, with %zu objects out", size, code, held.size());
    held.insert(held.end(), got.begin(), got.end());
}

void Member::must_resize(Member &to, void *&object) {
    const auto &from = pool_.shape, &wanted = to.pool_.shape;
    const int code = pool_.subject.table.resize(pool_.handle, local_, to.pool_.handle, to.local_, &object);
    one_more_call();
    if (code != 0)
        fault("resize from %" PRIu64 " to %" PRIu64 " bytes returned %d", from.object_size,
              wanted.object_size, code);
}

void Member::put_at_once() {
    pool_.subject.table.put_all(pool_.handle, local_);
    one_more_call();
}

void Member::put(std::vector<void *> &held, uint32_t n) {
    put(held.data(), n);
    held.erase(held.begin(), held.begin() + n);
}

void Member::put_all(std::vector<void *> &held) {
    while (!held.empty()) put(held, uint32_t(std::min<size_t>(held.size(), 32)));
}

void Member::take_all(std::vector<void *> &held) {
    while (held.size() < pool_.capacity() && get(held, 1));
    if (held.size() < pool_.capacity() && get(held, 1))
        fault("get_bulk of 1 failed, though no other thread is inside and the next one found an object");
    if (held.size() < pool_.capacity() && pool_.capacity() > pool_.shape.objects)
        fault("available said %" PRIu64 " for the new pool, and one thread, alone, finds %zu objects in it",
              pool_.capacity(), held.size());
    if (held.size() < pool_.capacity())
        fault("the pool lost %" PRIu64 " of its %" PRIu64 " objects: one thread, alone, finds no more",
              pool_.capacity() - held.size(), pool_.capacity());
    if (get(held, 1))
        fault("the pool handed out more than its %" PRIu64 " objects; an allocator that has as many as there "
              "is memory for declares capabilities=Capabilities(any_size=True) in its plugin",
              pool_.capacity());
    must_be_apart(held, pool_.shape.object_size);
}

void must_be_apart(std::vector<void *> objects, uint64_t object_size) {
    std::sort(objects.begin(), objects.end());
    for (size_t i = 1; i < objects.size(); ++i) {
        const auto *const before = static_cast<char *>(objects[i - 1]), *const next =
                                                                            static_cast<char *>(objects[i]);
        if (before == next) fault("object %p was handed out twice", objects[i]);
        if (uint64_t(next - before) < object_size)
            fault("object %p of %" PRIu64 " bytes overlaps object %p", objects[i - 1], object_size,
                  objects[i]);
    }
}

} // namespace allocmark::audit
