// SPDX-License-Identifier: BSD-3-Clause
/** Memory in which objects lie as they lie in a backend's: for who must not touch the backend's own. */
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace allocmark {

/** An object as the backend placed it, and the page kind that it lies on. */
struct Original {
    uint64_t address, bytes;
    am_pages pages;
};

/**
 * Each block of 2 MB that holds an object has one block in the mirror, on the same page kind and from the
 * same NUMA node. Inside it the object has the same place, and neighbouring blocks stay neighbours. Blocks
 * that hold none are left out, and of those on base pages only the pages with objects are populated. So the
 * mirror takes no more memory than what lies under the originals.
 */
class Mirror {
  public:
    /** Throws std::runtime_error with a line for a person when it cannot be had. */
    explicit Mirror(std::vector<Original> originals);

    /** Where the object that lies at `address` lies here. */
    void *at(uint64_t address) const;

    std::vector<allocmark_region> regions() const;
    /** Distinct addresses. */
    uint64_t objects() const { return objects_; }
    /** Why some of it lies on another page kind than its originals; empty when none does. */
    const std::string &note() const { return note_; }

  private:
    /** Blocks in a row that hold objects. */
    struct Run {
        uint64_t first, last; // numbers of blocks
        uint64_t original;    // address of the first object
        am_pages pages;
        char *memory;
        uint64_t bytes() const;
    };
    struct Unmap {
        size_t bytes;
        void operator()(char *memory) const { munmap(memory, bytes); }
    };
    using Mapping = std::unique_ptr<char, Unmap>;

    void find_runs(const std::vector<Original> &originals);
    void check_size(const std::vector<Original> &originals) const;
    void map_runs(am_pages pages);
    Mapping map(am_pages pages, uint64_t bytes);
    const Run &run_of(uint64_t address) const;
    template <class What> void each_stretch(const std::vector<Original> &originals, What what) const;

    std::vector<Run> runs_; // ascending
    std::vector<Mapping> mappings_;
    uint64_t objects_ = 0;
    std::string note_;
};

} // namespace allocmark
