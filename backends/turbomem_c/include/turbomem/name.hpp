// SPDX-License-Identifier: BSD-3-Clause
/// A pool's name: in what it throws and reports, in its statistics, and in /proc/PID/maps.
#pragma once

#include "turbomem/error.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace turbomem {

/// At most 63 characters, and none that the kernel refuses in the name of memory: printable ones of ASCII but
/// for [ ] \ ` $. Copies nothing but bytes.
class pool_name {
  public:
    static constexpr std::size_t most = 63;

    static constexpr bool allowed(std::string_view name) noexcept {
        return name.size() <= most && std::all_of(name.begin(), name.end(), [](char c) {
                   return c >= ' ' && c <= '~' &&
                          std::string_view("[]\\`$").find(c) == std::string_view::npos;
               });
    }

    pool_name() = default;
    /// Throws invalid_options.
    explicit pool_name(std::string_view name) {
        if (!allowed(name))
            throw invalid_options("name is of " + std::to_string(name.size()) +
                                  " characters, not at most 63 printable ones of ASCII without []\\`$");
        std::copy(name.begin(), name.end(), text_.begin());
    }

    /// Empty: the pool has none.
    const char *text() const noexcept { return text_.data(); }
    bool empty() const noexcept { return text_[0] == '\0'; }
    /// "pool 'packets'", or "the pool".
    std::string subject() const { return empty() ? "the pool" : "pool '" + std::string(text()) + "'"; }

    /// Run `body`; the messages of what it throws begin with the pool's name.
    template <class Body> decltype(auto) in_errors(Body &&body) const {
        try {
            return std::forward<Body>(body)();
        } catch (const invalid_options &e) {
            throw invalid_options(named(e));
        } catch (const out_of_memory &e) {
            throw out_of_memory(named(e));
        } catch (const unmet_requirement &e) {
            throw unmet_requirement(e.code(), named(e));
        } catch (const invalid_slot &e) {
            throw invalid_slot(e.code(), named(e));
        } catch (const error &e) {
            throw error(e.code(), named(e));
        }
    }

  private:
    std::string named(const error &e) const { return empty() ? e.what() : subject() + ": " + e.what(); }

    std::array<char, most + 1> text_{};
};

} // namespace turbomem
