/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk_ring.h"

#include <rte_log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *stream;
static char *text;
static size_t length;

int log_open(void) {
    stream = open_memstream(&text, &length);
    if (stream == NULL) return -errno;
    rte_openlog_stream(stream);
    return 0;
}

void log_clear(void) {
    if (stream != NULL) rewind(stream);
}

const char *log_first_line(void) {
    if (stream == NULL || fflush(stream) != 0) return "";
    text[length] = '\0'; /* after a rewind, `length` is how far was written since */
    text[strcspn(text, "\n")] = '\0';
    return text;
}

void log_close(void) {
    if (stream == NULL) return;
    rte_openlog_stream(NULL);
    fclose(stream);
    free(text);
    stream = NULL;
    text = NULL;
}
