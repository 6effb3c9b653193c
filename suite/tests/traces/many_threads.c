/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A program that knows what it holds: threads that get, resize and free each other's objects, in all ways
 * there are. Prints the bytes that it holds while it rests, each time before a malloc of MARK + k bytes.
 *
 * many_threads THREADS ROUNDS [crash | kill | fork | close]
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHELVES = 64, MARK = 7000001 };

static struct shelf {
    pthread_mutex_t lock;
    void *object;
    size_t size;
} shelves[SHELVES];

static size_t held(void) {
    size_t sum = 0;
    for (int i = 0; i < SHELVES; i++) sum += shelves[i].object ? shelves[i].size : 0;
    return sum;
}

static void *get(uint64_t draw, size_t *size) {
    void *object = NULL;
    switch (draw >> 8 & 7) {
    case 0:
        *size = 0;
        return malloc(0);
    case 1:
        return calloc(1, *size);
    case 2:
        return posix_memalign(&object, 64, *size) == 0 ? object : NULL;
    case 3:
        return memalign(256, *size);
    case 4:
        *size = (*size + 31) & ~(size_t)31;
        return aligned_alloc(32, *size);
    case 5:
        return reallocarray(NULL, 1, *size);
    default:
        return malloc(*size);
    }
}

static void *work(void *argument) {
    uint64_t draw = (uintptr_t)argument | 1;
    const int rounds = (int)((uintptr_t)argument >> 16);
    for (int i = 0; i < rounds; i++) {
        draw ^= draw << 13, draw ^= draw >> 7, draw ^= draw << 17;
        struct shelf *shelf = &shelves[draw % SHELVES];
        size_t size = draw >> 20 & 2047;
        if ((draw >> 40 & 1023) == 0) size = 1 << 20;
        pthread_mutex_lock(&shelf->lock);
        if (shelf->object == NULL) {
            shelf->object = get(draw, &size);
            shelf->size = size;
        } else if (draw >> 60 & 1 && size > 0) {
            shelf->object = realloc(shelf->object, size);
            shelf->size = size;
        } else {
            void *object = shelf->object;
            shelf->object = NULL;
            free(object);
        }
        pthread_mutex_unlock(&shelf->lock);
        free(NULL);
    }
    return NULL;
}

static void mark(int k) {
    printf("%zu\n", held());
    fflush(stdout);
    free(malloc((size_t)MARK + (size_t)k));
}

int main(int n, char **words) {
    const int threads = atoi(words[1]), rounds = atoi(words[2]);
    const char *end = n > 3 ? words[3] : "";
    static char buffer[1 << 12]; /* of stdout, which would allocate one */
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    for (int i = 0; i < SHELVES; i++) pthread_mutex_init(&shelves[i].lock, NULL);
    if (strcmp(end, "close") == 0)
        for (int i = 3; i < 64; i++) close(i);
    for (int k = 0; k < 4; k++) {
        pthread_t running[64];
        for (int i = 0; i < threads; i++)
            pthread_create(&running[i], NULL, work,
                           (void *)((uintptr_t)rounds << 16 | (uintptr_t)(k * 64 + i + 1)));
        if (strcmp(end, "fork") == 0 && k == 1) {
            const pid_t child = fork();
            if (child == 0) {
                for (int i = 0; i < 100; i++) free(malloc(33));
                _exit(0);
            }
            waitpid(child, NULL, 0);
        }
        for (int i = 0; i < threads; i++) pthread_join(running[i], NULL);
        mark(k);
    }
    if (strcmp(end, "crash") == 0) *(volatile int *)8 = 1;
    if (strcmp(end, "kill") == 0) kill(getpid(), SIGKILL);
    return 0;
}
