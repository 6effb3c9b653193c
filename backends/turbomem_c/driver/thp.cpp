// SPDX-License-Identifier: BSD-3-Clause
/// A mempool's memory from outside of DPDK: a mapping of ours, registered with EAL.
#include "turbomem_dpdk.h"

#include "log.hpp"

#include "turbomem/memory/mapping.hpp"
#include "turbomem/memory/page_report.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memory.h>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

namespace {

using turbomem::huge_page;
using turbomem::mapping;

/// A mapping that EAL knows of.
class registered_memory {
  public:
    /// Throws turbomem::error.
    registered_memory(std::size_t bytes, int node) : memory_(on_node(bytes, node)) {
        std::vector<rte_iova_t> pages;
        for (std::size_t at = 0; at < memory_.size(); at += huge_page)
            pages.push_back(reinterpret_cast<rte_iova_t>(memory_.data() + at));
        if (rte_extmem_register(memory_.data(), memory_.size(), pages.data(),
                                static_cast<unsigned>(pages.size()), huge_page) != 0)
            throw turbomem::error(rte_errno, std::string("EAL does not register the memory: ") +
                                                 rte_strerror(rte_errno));
    }
    ~registered_memory() { rte_extmem_unregister(memory_.data(), memory_.size()); }
    registered_memory(const registered_memory &) = delete;
    registered_memory &operator=(const registered_memory &) = delete;

    const mapping &operator*() const noexcept { return memory_; }

  private:
    static mapping on_node(std::size_t bytes, int node) {
        const turbomem::page_options options{.kind = turbomem::page_kind::thp, .inherit = false};
        // EAL registers whole pages of the size that is claimed; degraded to base pages they are still whole.
        const std::size_t whole = (bytes + huge_page - 1) / huge_page * huge_page;
        if (node < 0) return mapping(whole, options);
        return mapping(whole, options, turbomem::topology::system().only(node),
                       turbomem::numa_mode::preferred);
    }

    mapping memory_;
};

void release(rte_mempool_memhdr *, void *opaque) {
    delete static_cast<registered_memory *>(opaque);
}

/// Bytes for all objects of the mempool, in one piece.
std::size_t bytes_for(const rte_mempool &mp) {
    constexpr std::uint32_t no_page_boundaries = 0;
    const auto own = rte_mempool_get_ops(mp.ops_index)->calc_mem_size;
    const auto calculate = own != nullptr ? own : rte_mempool_op_calc_mem_size_default;
    std::size_t least_chunk = 0, alignment = 0;
    const ssize_t bytes = calculate(&mp, mp.size, no_page_boundaries, &least_chunk, &alignment);
    if (bytes < 0) throw turbomem::error(static_cast<int>(-bytes), "its handler cannot tell its size");
    return static_cast<std::size_t>(bytes);
}

void say_how_far(const rte_mempool &mp, const mapping &memory) {
    const std::uint64_t huge = memory.huge_bytes();
    if (huge == memory.size())
        TURBOMEM_LOG(DEBUG, "mempool '%s': %zu MB, all on transparent huge pages", mp.name,
                     memory.size() >> 20);
    else
        TURBOMEM_LOG(WARNING, "mempool '%s': %zu of %zu MB on huge pages. %s", mp.name,
                     static_cast<std::size_t>(huge >> 20), memory.size() >> 20, memory.fallback().c_str());
}

/// Run `work` so that DPDK lets objects cross pages. It does not without huge pages of its own, for each
/// object must have one IO address: here they have, for the addresses are virtual.
template <class Work> int contiguously(rte_mempool &mp, Work work) {
    const unsigned wanted = mp.flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    mp.flags |= RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    const int result = work();
    mp.flags = (mp.flags & ~RTE_MEMPOOL_F_NO_IOVA_CONTIG) | wanted;
    return result;
}

int populate(rte_mempool &mp) {
    if (mp.nb_mem_chunks != 0)
        throw turbomem::error(EINVAL, "it has memory already: make it with rte_mempool_create_empty()");
    if (rte_eal_process_type() != RTE_PROC_PRIMARY)
        throw turbomem::error(ENOTSUP, "private memory cannot be shared with a secondary process");
    if (rte_eal_iova_mode() != RTE_IOVA_VA)
        throw turbomem::error(ENOTSUP,
                              "IO addresses are physical here, and the kernel may move a transparent huge "
                              "page: start with --iova-mode=va");
    auto memory = std::make_unique<registered_memory>(bytes_for(mp), mp.socket_id);
    const mapping &region = **memory;
    const int objects = contiguously(mp, [&] {
        return rte_mempool_populate_iova(&mp, reinterpret_cast<char *>(region.data()),
                                         reinterpret_cast<rte_iova_t>(region.data()), region.size(), release,
                                         memory.get());
    });
    if (objects <= 0)
        throw turbomem::error(objects == 0 ? ENOMEM : -objects, "its handler does not take the memory");
    memory.release(); // the mempool's now
    try {
        say_how_far(mp, region);
    } catch (const turbomem::error &reason) {
        TURBOMEM_LOG(NOTICE, "mempool '%s': %s", mp.name, reason.what());
    }
    if (static_cast<unsigned>(objects) < mp.size)
        throw turbomem::error(ENOMEM, "its handler takes more memory than it said");
    return objects;
}

/// What `work` returns, or the negative errno value of what it throws, logged.
template <class Work> auto guarded(const char *name, Work work) noexcept -> decltype(work()) {
    int code = ENOMEM;
    try {
        return work();
    } catch (const turbomem::error &reason) {
        code = reason.code();
        TURBOMEM_LOG(ERR, "mempool '%s': %s", name, reason.what());
    } catch (const std::exception &reason) {
        TURBOMEM_LOG(ERR, "mempool '%s': %s", name, reason.what());
    }
    return -code;
}

} // namespace

int turbomem_dpdk_populate_thp(rte_mempool *mp) {
    if (mp == nullptr) return -EINVAL;
    return guarded(mp->name, [&] { return populate(*mp); });
}

rte_mempool *turbomem_dpdk_pktmbuf_pool_create(const char *name, unsigned n, unsigned cache_size,
                                               std::uint16_t priv_size, std::uint16_t data_room_size,
                                               int socket_id) {
    int code = EINVAL;
    if (name != nullptr && RTE_ALIGN(priv_size, RTE_MBUF_PRIV_ALIGN) == priv_size) {
        rte_mempool *const mp = rte_mempool_create_empty(
            name, n, static_cast<unsigned>(sizeof(rte_mbuf)) + priv_size + data_room_size, cache_size,
            sizeof(rte_pktmbuf_pool_private), socket_id, 0);
        if (mp == nullptr) return nullptr; // rte_errno is set
        code = -rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), nullptr);
        if (code == 0) {
            rte_pktmbuf_pool_private layout{};
            layout.mbuf_data_room_size = data_room_size;
            layout.mbuf_priv_size = priv_size;
            rte_pktmbuf_pool_init(mp, &layout);
            const int objects = turbomem_dpdk_populate_thp(mp);
            if (objects > 0) {
                rte_mempool_obj_iter(mp, rte_pktmbuf_init, nullptr);
                return mp;
            }
            code = -objects;
        }
        rte_mempool_free(mp);
    }
    rte_errno = code;
    return nullptr;
}

std::int64_t turbomem_dpdk_huge_bytes(const rte_mempool *mp) {
    if (mp == nullptr) return -EINVAL;
    return guarded(mp->name, [&] {
        std::int64_t bytes = 0;
        const rte_mempool_memhdr *chunk;
        STAILQ_FOREACH(chunk, &mp->mem_list, next) {
            bytes += static_cast<std::int64_t>(
                turbomem::report_pages(static_cast<std::byte *>(chunk->addr), chunk->len).huge());
        }
        return bytes;
    });
}
