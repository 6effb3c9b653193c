// SPDX-License-Identifier: BSD-3-Clause
/**
 * Any shared library with the malloc interface as a backend. The option malloc.library is its path,
 * malloc.prefix what stands before the names of its functions. It is loaded for nobody but this table: the
 * process and everything else in it keep their own malloc, and the library calls its own functions. With
 * malloc.preloaded it is what LD_PRELOAD brought, and the whole process is served by it.
 */
#include <allocmark/malloc_table.h>

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <string>

#include "engine.h"

namespace {

std::string library, prefix;
bool preloaded = false;

// Of each, the first one that the library has is used. Some aligned_alloc refuse a size that is no multiple
// of the alignment; memalign takes any.
constexpr const char *kAligned[] = {"memalign", "aligned_alloc"};
constexpr const char *kUsable[] = {"malloc_usable_size", "usable_size", "msize", "malloc_size"};

/** Whether the function lies in the library itself, and not in one that it is linked with. */
bool is_own(const void *function, const link_map *own) {
    Dl_info info;
    void *map = nullptr;
    return dladdr1(function, &info, &map, RTLD_DL_LINKMAP) && map == own;
}

template <class Function> bool find(void *scope, const link_map *own, const std::string &name, Function &to) {
    void *found = dlsym(scope, name.c_str());
    if (!found || !is_own(found, own)) return false;
    to.call = reinterpret_cast<decltype(to.call)>(found);
    to.symbol = strdup(name.c_str()); // as long as the process
    return true;
}

int refused(allocmark_error *error) {
    const char *why = dlerror();
    const bool tls = why && std::strstr(why, "static TLS");
    allocmark_say(error, "%s cannot be loaded: %s%s", library.c_str(), why ? why : "no reason given",
                  tls ? ": make more room with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1000000" : "");
    return -ELIBACC;
}

int load(allocmark_error *error) {
    void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | (preloaded ? RTLD_NOLOAD : RTLD_DEEPBIND));
    if (!handle && preloaded) {
        allocmark_say(error, "%s was not preloaded: look at what the loader said with LD_PRELOAD=%s",
                      library.c_str(), library.c_str());
        return -ELIBACC;
    }
    if (!handle) return refused(error);
    link_map *own = nullptr;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &own) != 0) return refused(error);

    void *scope = preloaded ? RTLD_DEFAULT : handle;
    auto &to = allocmark_malloc;
    for (const char *name : {"malloc", "free"}) {
        const bool found = *name == 'm' ? find(scope, own, prefix + name, to.malloc)
                                        : find(scope, own, prefix + name, to.free);
        if (found) continue;
        allocmark_say(error, "%s has no function %s%s: %s", library.c_str(), prefix.c_str(), name,
                      preloaded ? "it does not replace malloc, so measure it with -b so:PATH"
                                : "name what its functions begin with, such as --prefix je_");
        return -ENOSYS;
    }
    for (const char *name : kAligned)
        if (find(scope, own, prefix + name, to.aligned)) break;
    if (!to.aligned.call) find(scope, own, prefix + "posix_memalign", to.posix_memalign);
    find(scope, own, prefix + "calloc", to.calloc);
    find(scope, own, prefix + "realloc", to.realloc);
    for (const char *name : kUsable)
        if (find(scope, own, prefix + name, to.usable_size)) break;
    return 0;
}

int init(const allocmark_init *given, allocmark_error *error) {
    for (uint32_t i = 0; i < given->n_options; ++i) {
        const std::string key = given->options[i].key;
        if (key == "malloc.library") library = given->options[i].value;
        if (key == "malloc.prefix") prefix = given->options[i].value;
        if (key == "malloc.preloaded") preloaded = true;
    }
    if (library.empty()) {
        allocmark_say(error,
                      "the option malloc.library is missing: it is the path of the library to measure");
        return -EINVAL;
    }
    return load(error);
}

} // namespace

extern "C" const void *am_malloc_table(void) {
    static const allocmark_backend table = [] {
        allocmark_backend made = allocmark_malloc_table();
        made.init = init;
        return made;
    }();
    return &table;
}
