/*
 * Amounts of memory and time as people read them; every message takes them from here.
 */
#ifndef TS_BASE_AMOUNT_H
#define TS_BASE_AMOUNT_H

#include <stddef.h>
#include <stdio.h>

/* "512.0 MiB" below 1 GiB ("0.064 MiB" below one MiB), "1.50 GiB" from there.  In the header, for the CUDA
 * module has no part of the library in it. */
static inline void ts_bytes_text(double bytes, char text[32])
{
    /* what would be rounded to 1024.0 MiB is 1.00 GiB */
    if (bytes < 0.95 * 1048576.0)
        snprintf(text, 32, "%.2g MiB", bytes / 1048576.0);
    else if (bytes < 1073741824.0 - 0.05 * 1048576.0)
        snprintf(text, 32, "%.1f MiB", bytes / 1048576.0);
    else
        snprintf(text, 32, "%.2f GiB", bytes / 1073741824.0);
}

/* "4:05" (minutes, seconds), "1:23:00" from an hour on. */
void ts_duration_text(double seconds, char text[32]);

/* What a part of a long piece of work will take. */
typedef struct ts_cost {
    const char *part; /* "train", "fit T=0.4", ... */
    double seconds;   /* < 0: not known */
    double bytes;     /* of memory, at most; 0: not known */
} ts_cost;

/* One line of all parts, one after the other: "about 1:23:00, at most 1.50 GiB of memory: train 1:10:00, fit
 * T=0.4 13:00".  A single part stands in front: "train: about 1:10:00, ...".  Times of parts that
 * are not known are left out, and the sum then says "at least". */
void ts_estimate_text(const ts_cost *parts, int count, char *text, size_t size);

#endif
