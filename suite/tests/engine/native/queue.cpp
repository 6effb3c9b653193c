// SPDX-License-Identifier: BSD-3-Clause
/// Queues lose, double and reorder nothing. What objects point to is written and read without atomics, so
/// that ThreadSanitizer sees a hand-over that the queue left unordered.
#include "queue.hpp"

#include <cstdint>
#include <thread>
#include <vector>

#include "check.hpp"
#include "half_wait.hpp"

using allocmark::Arena;
using allocmark::Queue;

namespace {

struct Object {
    uint32_t sender, number;
};

struct Shape {
    uint32_t senders, receivers, send, receive, capacity;
};

/// Each sender sends its objects in order; each receiver must find those of any one sender in order.
void pass_through(const Shape &shape, uint32_t per_sender) {
    Arena arena(Arena::Half::kShared, {shape.capacity, 0});
    Queue queue(shape.capacity, shape.senders == 1, shape.receivers == 1, arena, 0);
    std::vector<std::vector<Object>> objects(shape.senders, std::vector<Object>(per_sender));
    std::vector<std::vector<Object>> received(shape.receivers);
    const uint32_t quota = shape.senders * per_sender / shape.receivers;
    CHECK(quota * shape.receivers == shape.senders * per_sender && quota % shape.receive == 0);
    CHECK(per_sender % shape.send == 0);

    std::vector<std::thread> threads;
    for (uint32_t s = 0; s < shape.senders; ++s)
        threads.emplace_back([&, s] {
            std::vector<void *> bulk(shape.send);
            for (uint32_t at = 0; at < per_sender; at += shape.send) {
                for (uint32_t i = 0; i < shape.send; ++i) {
                    objects[s][at + i] = {s, at + i};
                    bulk[i] = &objects[s][at + i];
                }
                while (!queue.send(bulk.data(), shape.send)) std::this_thread::yield();
            }
        });
    for (uint32_t r = 0; r < shape.receivers; ++r)
        threads.emplace_back([&, r] {
            std::vector<void *> bulk(shape.receive);
            for (uint32_t got = 0; got < quota; got += shape.receive) {
                while (!queue.receive(bulk.data(), shape.receive)) std::this_thread::yield();
                for (void *object : bulk) received[r].push_back(*static_cast<Object *>(object));
            }
        });
    for (std::thread &thread : threads) thread.join();

    std::vector<std::vector<uint32_t>> times(shape.senders, std::vector<uint32_t>(per_sender));
    for (const auto &by_one : received) {
        std::vector<int64_t> latest(shape.senders, -1);
        for (const Object &object : by_one) {
            CHECK(int64_t(object.number) > latest[object.sender]);
            latest[object.sender] = object.number;
            ++times[object.sender][object.number];
        }
    }
    for (const auto &of_one : times)
        for (const uint32_t n : of_one) CHECK(n == 1);
    void *none;
    CHECK(!queue.receive(&none, 1));
}

void all_or_nothing() {
    int values[8];
    void *in[8], *out[8] = {};
    for (int i = 0; i < 8; ++i) in[i] = &values[i];
    for (const bool alone : {true, false}) {
        Arena arena(Arena::Half::kShared, {0, 0});
        Queue queue(8, alone, alone, arena, 0);
        CHECK(!queue.receive(out, 1));
        CHECK(queue.send(in, 6));
        CHECK(queue.filled() == 6 && queue.room() == 2 && queue.half() == 4);
        CHECK(!queue.send(in, 3));
        CHECK(queue.send(in + 6, 2));
        CHECK(!queue.send(in, 1));
        CHECK(queue.receive(out, 5));
        CHECK(!queue.receive(out, 4) && out[0] == in[0]);
        CHECK(queue.send(in, 5)); // across the end
        CHECK(queue.receive(out, 8));
        for (int i = 0; i < 8; ++i) CHECK(out[i] == in[(5 + i) % 8]);
        CHECK(!queue.receive(out, 1));
    }
}

/// Of 5 places there are 5, wherever in the ring its positions are.
void holds_its_capacity() {
    int value;
    void *one[5] = {&value, &value, &value, &value, &value}, *out[5];
    for (const bool alone : {true, false}) {
        Arena arena(Arena::Half::kShared, {0, 0});
        Queue queue(5, alone, alone, arena, 0);
        for (int i = 0; i < 20; ++i) {
            CHECK(queue.send(one, 4) && !queue.send(one, 2) && queue.room() == 1);
            CHECK(queue.send(one, 1) && !queue.send(one, 1) && queue.room() == 0 && queue.half() == 2);
            CHECK(queue.receive(out, 5) && queue.room() == 5);
        }
    }
}

/** A wait for half of a queue is over when half is there, or nothing comes; then fewer waits look at all. */
void waits_for_half_end() {
    allocmark::HalfWait wait;
    uint32_t looks = 0;
    const auto growing = [&] { return looks++; };
    wait(growing, 10);
    CHECK(looks == 11);

    uint32_t tried = 0;
    const auto still = [&] { return looks++, 3u; };
    for (int i = 0; i < 4096; ++i) {
        looks = 0;
        wait(still, 10);
        CHECK(looks == 0 || looks == 2);
        tried += looks != 0;
    }
    CHECK(tried == 13); // the 1st, the 3rd, the 7th, …, at last every 1,024th

    for (int i = 0; i < 1024; ++i) { // where it pays again, all do
        looks = 0;
        wait(growing, 10);
    }
    CHECK(looks == 11);
}

} // namespace

int main(int, char **arguments) {
    const uint32_t per_sender = 336 * uint32_t(std::atoi(arguments[1])); // divides by all bulks and receivers
    all_or_nothing();
    holds_its_capacity();
    waits_for_half_end();
    for (uint32_t senders = 1; senders <= 3; ++senders)
        for (uint32_t receivers = 1; receivers <= 3; ++receivers)
            for (const uint32_t send : {1, 7, 8})
                for (const uint32_t receive : {1, 7, 8})
                    pass_through({senders, receivers, send, receive, 16}, per_sender);
}
