// SPDX-License-Identifier: BSD-3-Clause
/** Where the engine's memory begins, when a seed says so: random draws that are the same on every machine. */
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace allocmark {

/**
 * Draws of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): a counter
 * in steps of 2^64 divided by the golden ratio, and each count scrambled.
 *
 * A seed has many streams, so that what one arena draws does not depend on how much another did. Seed 0
 * stands for no draws: everything has its fixed place.
 */
class Draws {
  public:
    Draws(uint64_t seed, uint64_t stream) : drawn_(seed != 0), count_(seed) { count_ = next() ^ stream; }

    /** Whether anything is to be drawn. */
    bool any() const { return drawn_; }
    /** From 0 to n - 1, each as likely. */
    uint32_t below(uint32_t n) { return uint32_t((next() >> 32) * n >> 32); }
    /** The numbers below n in a drawn order; where nothing is drawn, in their own. */
    std::vector<uint32_t> order(uint32_t n) {
        std::vector<uint32_t> numbers(n);
        std::iota(numbers.begin(), numbers.end(), 0);
        for (uint32_t left = drawn_ ? n : 0; left > 1; --left)
            std::swap(numbers[left - 1], numbers[below(left)]);
        return numbers;
    }

  private:
    uint64_t next() {
        uint64_t bits = count_ += 0x9e3779b97f4a7c15u;
        bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
        bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
        return bits ^ bits >> 31;
    }

    bool drawn_;
    uint64_t count_;
};

} // namespace allocmark
