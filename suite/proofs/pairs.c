/* SPDX-License-Identifier: BSD-3-Clause */
/** What a pair of malloc and free takes, in ns: the median over stretches, of three patterns. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAIRS = 200000, STRETCHES = 15, HELD = 1024 };

static void *volatile last;
static void *held[HELD];

static void same(void) { /* free what was got last */
    for (int i = 0; i < PAIRS; i++) {
        last = malloc(64);
        free(last);
    }
}

static void mixed(void) { /* sizes up to 512, random lifetimes */
    unsigned draw = 1;
    for (int i = 0; i < PAIRS; i++) {
        draw = draw * 1664525u + 1013904223u;
        free(held[draw >> 22]);
        held[draw >> 22] = malloc(16 + (draw >> 8 & 511));
    }
}

static void bulks(void) { /* 32 got, 32 freed */
    for (int i = 0; i < PAIRS; i += 32) {
        for (int k = 0; k < 32; k++) held[k] = malloc(128);
        for (int k = 0; k < 32; k++) free(held[k]);
    }
}

static int by_value(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median_ns(void (*pattern)(void)) {
    double taken[STRETCHES];
    for (int i = 0; i < STRETCHES; i++) {
        struct timespec begun, ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        pattern();
        clock_gettime(CLOCK_MONOTONIC, &ended);
        taken[i] =
            ((double)(ended.tv_sec - begun.tv_sec) * 1e9 + (double)(ended.tv_nsec - begun.tv_nsec)) / PAIRS;
    }
    qsort(taken, STRETCHES, sizeof *taken, by_value);
    return taken[STRETCHES / 2];
}

int main(void) {
    printf("%.2f", median_ns(same));
    for (int i = 0; i < HELD; i++) held[i] = NULL;
    printf(" %.2f", median_ns(mixed));
    for (int i = 0; i < HELD; i++) free(held[i]);
    printf(" %.2f\n", median_ns(bulks));
    return 0;
}
