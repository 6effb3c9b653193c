// SPDX-License-Identifier: BSD-3-Clause
/**
 * Which file do the functions belong to that a backend calls? Those that it reaches through pointers it tells
 * itself. Those that it is linked with are read from where the loader wrote them down: a table of the module
 * that the backend's functions lie in.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend_table.hpp"
#include "engine.h"

namespace {

// Of an entry that holds the address of a function.
#if defined(__x86_64__)
constexpr uint32_t kFunction[] = {R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT, R_X86_64_64};
#elif defined(__aarch64__)
constexpr uint32_t kFunction[] = {R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT, R_AARCH64_ABS64};
#else
constexpr uint32_t kFunction[] = {0};
#endif

// What every program is linked with. Its functions may be replaced.
constexpr const char *kRuntime[] = {"libc.",   "libm.",      "libstdc++.", "libgcc_s.", "libpthread.",
                                    "libc++.", "libc++abi.", "libdl.",     "librt.",    "ld-linux"};

const char *file_of(const void *address) {
    Dl_info info;
    return dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
}

bool is_runtime(const char *file) {
    const char *slash = std::strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    return std::any_of(std::begin(kRuntime), std::end(kRuntime),
                       [&](const char *each) { return std::strncmp(name, each, std::strlen(each)) == 0; });
}

/** A library that is loaded. */
struct Library {
    void *handle = nullptr;
    const char *file = nullptr; // as `file_of` gives it

    explicit Library(const char *name) : handle(dlopen(name, RTLD_LAZY | RTLD_NOLOAD)) {
        link_map *map = nullptr;
        if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0) file = map->l_name;
    }

    bool has(const char *function) const {
        void *found = dlsym(handle, function);
        return found && std::strcmp(file_of(found), file) == 0;
    }
};

struct Calls {
    std::vector<Library> expected;
    std::vector<am_called> found;

    void add(const char *name, const void *address) {
        const char *file = file_of(address);
        const char *from = "";
        for (const Library &each : expected)
            if (std::strcmp(each.file, file) == 0) from = file;
        for (const Library &each : expected)
            if (!*from && each.has(name)) from = each.file;
        found.push_back({name, file, from});
    }

    void expect(const char *library) {
        if (Library loaded(library); loaded.file) expected.push_back(loaded);
    }
};

template <class T> T *at(const link_map *module, ElfW(Addr) address) {
    // glibc has added the module's own address already, other C libraries have not.
    return reinterpret_cast<T *>(address < module->l_addr ? module->l_addr + address : address);
}

void add_linked(Calls &calls, const link_map *module) {
    const char *names = nullptr;
    const ElfW(Sym) *symbols = nullptr;
    const ElfW(Rela) * tables[2] = {};
    size_t bytes[2] = {};
    for (const ElfW(Dyn) *entry = module->l_ld; entry->d_tag != DT_NULL; ++entry) {
        if (entry->d_tag == DT_STRTAB) names = at<const char>(module, entry->d_un.d_ptr);
        if (entry->d_tag == DT_SYMTAB) symbols = at<const ElfW(Sym)>(module, entry->d_un.d_ptr);
        if (entry->d_tag == DT_RELA) tables[0] = at<const ElfW(Rela)>(module, entry->d_un.d_ptr);
        if (entry->d_tag == DT_RELASZ) bytes[0] = entry->d_un.d_val;
        if (entry->d_tag == DT_JMPREL) tables[1] = at<const ElfW(Rela)>(module, entry->d_un.d_ptr);
        if (entry->d_tag == DT_PLTRELSZ) bytes[1] = entry->d_un.d_val;
    }
    if (!names || !symbols) return;
    for (const ElfW(Dyn) *entry = module->l_ld; entry->d_tag != DT_NULL; ++entry)
        if (entry->d_tag == DT_NEEDED && !is_runtime(names + entry->d_un.d_val))
            calls.expect(names + entry->d_un.d_val);
    for (int table = 0; table < 2; ++table) {
        for (size_t i = 0; tables[table] && i < bytes[table] / sizeof(ElfW(Rela)); ++i) {
            const ElfW(Rela) &entry = tables[table][i];
            const uint32_t type = ELF64_R_TYPE(entry.r_info);
            const ElfW(Sym) &symbol = symbols[ELF64_R_SYM(entry.r_info)];
            const int kind = ELF64_ST_TYPE(symbol.st_info);
            if (std::find(std::begin(kFunction), std::end(kFunction), type) == std::end(kFunction)) continue;
            if (symbol.st_shndx != SHN_UNDEF || (kind != STT_FUNC && kind != STT_NOTYPE)) continue;
            const void *address = *at<const void *>(module, module->l_addr + entry.r_offset);
            Dl_info info;
            void *map = nullptr;
            // One that points into its own module was not called so far.
            if (address && dladdr1(address, &info, &map, RTLD_DL_LINKMAP) && map != module)
                calls.add(names + symbol.st_name, address);
        }
    }
}

} // namespace

extern "C" const char *am_loaded_file(const char *library) {
    return Library(library).file;
}

extern "C" const char *am_table_file(const void *address) {
    return file_of(reinterpret_cast<const void *>(allocmark::table_of(address).pool_create));
}

extern "C" uint32_t am_calls(const void *address, const char *library, am_called *out, uint32_t capacity) {
    const allocmark_backend table = allocmark::table_of(address);
    Calls calls;
    // A backend that tells which functions it measures may call others for its own needs.
    if (library && !table.calls) calls.expect(library);
    Dl_info info;
    void *module = nullptr;
    // Twins have get and put of their own. What the engine itself is linked with is no backend's.
    if (dladdr1(reinterpret_cast<const void *>(table.pool_create), &info, &module, RTLD_DL_LINKMAP) &&
        std::strcmp(info.dli_fname, file_of(reinterpret_cast<const void *>(am_calls))) != 0)
        add_linked(calls, static_cast<const link_map *>(module));
    if (table.calls) {
        if (library) calls.expect(library);
        std::vector<allocmark_call> told(table.calls(nullptr, 0));
        told.resize(std::min<size_t>(told.size(), table.calls(told.data(), uint32_t(told.size()))));
        for (const allocmark_call &each : told) calls.add(each.name, each.address);
    }
    const size_t n = std::min<size_t>(capacity, calls.found.size());
    std::copy_n(calls.found.begin(), n, out);
    return uint32_t(calls.found.size());
}
