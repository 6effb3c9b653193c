/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The recorder: LD_PRELOAD puts it in front of the process's malloc, and it writes down every call.
 *
 * Each thread writes into a chunk of its own of the process's file, through a shared mapping: without locks,
 * without system calls until the chunk is full, and without allocating. A chunk is opened by the file's name,
 * as programs close descriptors that they do not know. When anything fails, the recording stops and the
 * program goes on.
 *
 * A page that the kernel wipes in a child says that there was a fork, however it was made: the child then
 * begins a file of its own.
 */
#define _GNU_SOURCE
#include "recording.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define RARE __attribute__((noinline, cold))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)

enum { PATH_BYTES = 3840, BOOT_BYTES = 1 << 16 };

/** Where a thread writes. Zero in a new thread. */
typedef struct tape {
    am_record *next, *end;
    uint64_t clock;
    uint32_t epoch; /* of the recording that it belongs to */
    uint32_t thread, chunks;
    am_recorded_chunk *chunk; /* of a ring */
} tape;

/** Wiped in the child of a fork. */
typedef struct shared {
    _Atomic uint32_t epoch; /* 0: no recording has begun in this process */
    atomic_flag beginning;
    _Atomic uint32_t threads;
    _Atomic uint64_t bytes;
} shared;

static __thread tape own __attribute__((tls_model("initial-exec")));
static shared none; /* until there is a recording */
static shared *now = &none;
static uint32_t epochs;  /* begun by this process and its forefathers */
static _Atomic bool off; /* nothing is to be recorded, or it failed */
static char folder[PATH_BYTES], path[PATH_BYTES + 64], stop_path[PATH_BYTES + 64];
static pthread_key_t at_exit_of_thread;
static bool has_key;

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*memalign)(size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*usable_size)(void *);
} real;

/* --- before the real functions are known: dlsym itself may allocate ----------------------------------------
 */

static _Alignas(16) char boot[BOOT_BYTES];
static _Atomic size_t boot_used;

static bool is_boot(const void *object) {
    return (const char *)object >= boot && (const char *)object < boot + BOOT_BYTES;
}

static RARE void *boot_malloc(size_t size) {
    const size_t whole = (size + 31) & ~(size_t)15; /* the size stands before the object */
    const size_t at = atomic_fetch_add(&boot_used, whole);
    if (size > BOOT_BYTES || at + whole > BOOT_BYTES) return NULL;
    *(size_t *)(boot + at) = size;
    return boot + at + 16;
}

static RARE void find_real(void) {
    static _Thread_local bool finding __attribute__((tls_model("initial-exec")));
    if (finding) return;
    finding = true;
#define FIND(member, name) (*(void **)&real.member = dlsym(RTLD_NEXT, name))
    FIND(calloc, "calloc");
    FIND(realloc, "realloc");
    FIND(free, "free");
    FIND(memalign, "memalign");
    FIND(aligned_alloc, "aligned_alloc");
    FIND(posix_memalign, "posix_memalign");
    FIND(valloc, "valloc");
    FIND(pvalloc, "pvalloc");
    FIND(usable_size, "malloc_usable_size");
    FIND(malloc, "malloc");
#undef FIND
    finding = false;
}

/** Whether the real functions are known; false while they are being found. */
static inline bool ready(void) {
    if (LIKELY(real.malloc != NULL)) return true;
    find_real();
    return real.malloc != NULL;
}

/* --- the file
 * ------------------------------------------------------------------------------------------------ System
 * calls are made directly: the functions of the C library may be points where a thread is cancelled. */

static uint64_t ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/**
 * Whether the file may become so long; false with errno. The command that records may have said that nothing
 * more is wanted, and beyond the process's own limit the kernel would kill it.
 */
static bool may_reach(int file, uint64_t end) {
    const off_t size = lseek(file, 0, SEEK_END);
    if (size >= 0 && (uint64_t)size >= end) return true;
    char why[8];
    const long n = syscall(SYS_readlinkat, AT_FDCWD, stop_path, why, sizeof why - 1);
    if (n > 0) {
        why[n] = 0;
        errno = atoi(why);
        return false;
    }
    struct rlimit most;
    if (getrlimit(RLIMIT_FSIZE, &most) != 0 || end <= most.rlim_cur) return true;
    errno = EFBIG;
    return false;
}

static bool reserve(int file, uint64_t offset, size_t bytes) {
    if (!may_reach(file, offset + bytes)) return false;
    if (syscall(SYS_fallocate, file, 0, offset, bytes) == 0) return true;
    return errno == EOPNOTSUPP && syscall(SYS_pwrite64, file, "", 1, offset + bytes - 1) == 1;
}

/** Maps `bytes` of the file at `offset`, with room on the disk; NULL with errno. */
static void *map(uint64_t offset, size_t bytes, int flags) {
    const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (file < 0) return NULL;
    void *mapped = MAP_FAILED;
    if (reserve(file, offset, bytes))
        mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)offset);
    const int why = errno;
    syscall(SYS_close, file);
    errno = why;
    if (mapped == MAP_FAILED) return NULL;
#ifdef MADV_POPULATE_WRITE
    madvise(mapped, bytes, MADV_POPULATE_WRITE); /* all pages at once: faults one by one cost more */
#endif
    return mapped;
}

static void stop(int why) {
    atomic_store(&off, true);
    am_recording *head = now == &none ? NULL : map(0, AM_RECORDING_PAGE, 0);
    if (head == NULL) return;
    head->stopped = why;
    munmap(head, AM_RECORDING_PAGE);
}

static char *number(char *to, uint64_t value) {
    char digits[24];
    int n = 0;
    do digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0) *to++ = digits[--n];
    return to;
}

static uint32_t read_command(char *to) {
    const int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return 0;
    const long n = syscall(SYS_read, file, to, AM_COMMAND_BYTES);
    syscall(SYS_close, file);
    return n > 0 ? (uint32_t)n : 0;
}

/** The process's file: FOLDER/PID.N, which is new. */
static bool begin_file(bool inherited) {
    am_recording *head = NULL;
    const uint32_t pid = (uint32_t)syscall(SYS_getpid);
    for (uint32_t n = 0; head == NULL; n++) {
        strcpy(path, folder);
        char *at = path + strlen(path);
        *at++ = '/';
        at = number(at, pid);
        *at++ = '.';
        *number(at, n) = 0;
        head = map(0, AM_RECORDING_PAGE, O_CREAT | O_EXCL);
        if (head == NULL && errno != EEXIST) return false;
    }
    head->version = AM_RECORDING_VERSION;
    head->pid = pid;
    head->parent = (uint32_t)syscall(SYS_getppid);
    head->inherited = inherited;
    head->command_bytes = read_command(head->command);
    head->started = clock_ns(CLOCK_REALTIME);
    head->ns = clock_ns(CLOCK_MONOTONIC);
    head->ticks = ticks();
    atomic_signal_fence(memory_order_seq_cst);
    head->magic = AM_RECORDING_MAGIC;
    munmap(head, AM_RECORDING_PAGE);
    return true;
}

/** The page that says what is recorded; in a child the kernel has wiped it. */
static bool make_shared(void) {
    void *page = mmap(NULL, AM_RECORDING_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, AM_RECORDING_PAGE, MADV_WIPEONFORK) != 0) return false;
    now = page;
    return true;
}

static void thread_ends(void *unused);

/** Begins a recording in this process; false: there is none. Not twice: others wait. */
static RARE bool begin(void) {
    static atomic_flag first = ATOMIC_FLAG_INIT;
    if (now == &none) {
        const char *wanted = environ == NULL ? NULL : getenv("ALLOCMARK_RECORD");
        if (environ == NULL) return false; /* too early: the next call tries again */
        if (wanted == NULL || *wanted == 0 || strlen(wanted) >= PATH_BYTES ||
            atomic_flag_test_and_set(&first)) {
            if (wanted == NULL || *wanted == 0) atomic_store(&off, true);
            return false;
        }
        strcpy(folder, wanted);
        strcat(strcpy(stop_path, folder), "/" AM_STOP);
        has_key = pthread_key_create(&at_exit_of_thread, thread_ends) == 0;
        if (!make_shared()) {
            stop(errno);
            return false;
        }
    }
    while (atomic_flag_test_and_set_explicit(&now->beginning, memory_order_acquire))
        if (atomic_load(&off)) return false;
    if (atomic_load(&now->epoch) == 0) {
        if (!begin_file(epochs > 0)) {
            stop(errno);
        } else {
            atomic_store(&now->bytes, AM_RECORDING_PAGE);
            atomic_store(&now->epoch, ++epochs);
        }
    }
    atomic_flag_clear_explicit(&now->beginning, memory_order_release);
    return !atomic_load(&off);
}

static am_recorded_chunk *after(const am_recorded_chunk *chunk) {
    return (am_recorded_chunk *)(uintptr_t)chunk->next;
}

static void set_state(am_recorded_chunk *chunk, am_chunk_state state) {
    __atomic_store_n(&chunk->state, state, __ATOMIC_RELEASE);
}

/** The next chunk of the ring if it was drained, else a new one behind this one. NULL with errno. */
static am_recorded_chunk *next_chunk(tape *mine) {
    am_recorded_chunk *here = mine->chunk;
    if (here != NULL && __atomic_load_n(&after(here)->state, __ATOMIC_ACQUIRE) == AM_DRAINED)
        return after(here);
    const uint32_t step = mine->chunks < AM_LARGEST_STEP ? mine->chunks : AM_LARGEST_STEP;
    const uint32_t bytes = (uint32_t)AM_RECORDING_PAGE << step;
    const uint64_t at = atomic_fetch_add(&now->bytes, bytes);
    if (at > AM_MOST_UNREAD) {
        errno = ENOSPC;
        return NULL;
    }
    am_recorded_chunk *chunk = map(at, bytes, 0);
    if (chunk == NULL) return NULL;
    chunk->bytes = bytes;
    chunk->thread = mine->thread;
    chunk->next = (uint64_t)(uintptr_t)(here ? after(here) : chunk);
    if (here != NULL) here->next = (uint64_t)(uintptr_t)chunk;
    return chunk;
}

/** Another chunk for this thread; false: nothing is recorded. */
static RARE bool open_chunk(tape *mine) {
    if (atomic_load_explicit(&off, memory_order_relaxed)) return false;
    const int before = errno;
    if (atomic_load(&now->epoch) == 0 && !begin()) {
        errno = before;
        return false;
    }
    const uint32_t epoch = atomic_load(&now->epoch);
    if (mine->epoch != epoch) /* a new thread, or one that a fork took along */
        *mine = (tape){.epoch = epoch, .thread = atomic_fetch_add(&now->threads, 1)};
    am_recorded_chunk *full = mine->chunk, *chunk = next_chunk(mine);
    if (chunk == NULL) {
        stop(errno);
    } else {
        chunk->number = mine->chunks++;
        chunk->ns = clock_ns(CLOCK_MONOTONIC);
        chunk->ticks = mine->clock = ticks();
        set_state(chunk, AM_WRITING);
        __atomic_store_n(&chunk->magic, AM_CHUNK_MAGIC, __ATOMIC_RELEASE);
        mine->chunk = chunk;
        mine->next = (am_record *)(chunk + 1);
        mine->end = (am_record *)((char *)chunk + chunk->bytes);
        if (full != NULL) set_state(full, AM_FULL);
        if (has_key) pthread_setspecific(at_exit_of_thread, &own);
    }
    errno = before;
    return chunk != NULL;
}

/** The thread's mappings go. A later call of it, from another destructor, opens a new chunk. */
static void thread_ends(void *unused) {
    (void)unused;
    am_recorded_chunk *chunk = own.chunk;
    if (chunk == NULL || own.epoch != atomic_load(&now->epoch)) return;
    own.chunk = NULL;
    own.next = own.end = NULL;
    set_state(chunk, AM_FULL);
    const am_recorded_chunk *const first = chunk;
    do {
        am_recorded_chunk *const next = after(chunk);
        __atomic_store_n(&chunk->ended, 1, __ATOMIC_RELEASE);
        munmap(chunk, chunk->bytes);
        chunk = next;
    } while (chunk != first);
}

static inline void put(tape *mine, uint64_t where, uint64_t what) {
    am_record *record = mine->next;
    *(volatile uint64_t *)&record->where = where;
    *(volatile uint64_t *)&record->what = what;
    mine->next = record + 1;
}

/** Room for three records, the most that are written at once. */
static inline bool has_room(tape *mine) {
    return LIKELY(mine->end - mine->next >= 3 &&
                  mine->epoch == atomic_load_explicit(&now->epoch, memory_order_relaxed)) ||
           open_chunk(mine);
}

static inline void note(am_record_kind kind, const void *address, size_t size, size_t alignment) {
    tape *mine = &own;
    if (!has_room(mine)) return;
    const uint64_t at = ticks();
    uint64_t passed = at - mine->clock;
    mine->clock = at;
    if (!LIKELY(passed < 1u << 28)) {
        put(mine, at, AM_R_TIME);
        passed = 0;
    }
    if (alignment) put(mine, alignment, AM_R_ALIGNMENT);
    put(mine, (uint64_t)(uintptr_t)address | (uint64_t)size << 48,
        (uint64_t)kind | passed << 4 | (uint64_t)size >> 16 << 32);
}

/* --- what programs call ----------------------------------------------------------------------------------
 */

EXPORT void *malloc(size_t size) {
    if (!ready()) return boot_malloc(size);
    void *object = real.malloc(size);
    if (LIKELY(object != NULL)) note(AM_R_MALLOC, object, size, 0);
    return object;
}

EXPORT void free(void *object) {
    if (object == NULL || is_boot(object)) return;
    if (!ready()) return;
    note(AM_R_FREE, object, 0, 0);
    real.free(object);
}

EXPORT void *calloc(size_t n, size_t size) {
    if (!ready()) {
        size_t bytes;
        return __builtin_mul_overflow(n, size, &bytes) ? NULL
                                                       : boot_malloc(bytes); /* zero from the beginning */
    }
    void *object = real.calloc(n, size);
    if (LIKELY(object != NULL)) note(AM_R_CALLOC, object, n * size, 0);
    return object;
}

EXPORT void *realloc(void *object, size_t size) {
    if (object == NULL) return malloc(size);
    if (is_boot(object) || !ready()) {
        void *moved = malloc(size);
        const size_t before = ((size_t *)object)[-2];
        if (moved) memcpy(moved, object, before < size ? before : size);
        return moved;
    }
    note(AM_R_LEAVE, object, 0, 0);
    void *moved = real.realloc(object, size);
    note(AM_R_ARRIVE, moved, moved != NULL || size == 0 ? size : 1, 0); /* a size that failed may be any */
    return moved;
}

EXPORT void *reallocarray(void *object, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(object, bytes);
}

static void *aligned(void *object, size_t alignment, size_t size) {
    if (object != NULL) note(AM_R_ALIGNED, object, size, alignment);
    return object;
}

EXPORT void *memalign(size_t alignment, size_t size) {
    return ready() && real.memalign ? aligned(real.memalign(alignment, size), alignment, size) : NULL;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return ready() && real.aligned_alloc ? aligned(real.aligned_alloc(alignment, size), alignment, size)
                                         : NULL;
}

EXPORT int posix_memalign(void **object, size_t alignment, size_t size) {
    if (!ready() || !real.posix_memalign) return ENOMEM;
    const int failed = real.posix_memalign(object, alignment, size);
    if (!failed) aligned(*object, alignment, size);
    return failed;
}

static size_t page(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

EXPORT void *valloc(size_t size) {
    return ready() && real.valloc ? aligned(real.valloc(size), page(), size) : NULL;
}

EXPORT void *pvalloc(size_t size) {
    return ready() && real.pvalloc ? aligned(real.pvalloc(size), page(), size) : NULL;
}

/** Programs ask it of objects that came before the real functions were known, too. */
EXPORT size_t malloc_usable_size(void *object) {
    if (object != NULL && is_boot(object)) return ((size_t *)object)[-2];
    return ready() && real.usable_size ? real.usable_size(object) : 0;
}

/* C23 */
EXPORT void free_sized(void *object, size_t size) {
    (void)size;
    free(object);
}

EXPORT void free_aligned_sized(void *object, size_t alignment, size_t size) {
    (void)alignment, (void)size;
    free(object);
}

__attribute__((constructor)) static void start(void) {
    if (ready()) has_room(&own);
}
