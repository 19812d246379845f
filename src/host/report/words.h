/* What samplers are called. */
#ifndef TS_REPORT_WORDS_H
#define TS_REPORT_WORDS_H

#include "base/kinds.h"

typedef struct ts_sampler_words {
    const char *html, *label; /* on a page, and in gnuplot's enhanced text */
} ts_sampler_words;

static const ts_sampler_words ts_sampler_words_of[TS_SAMPLER_COUNT] = {
    [TS_SAMPLER_EM] = {"Euler&ndash;Maruyama", "Euler-Maruyama"},
    [TS_SAMPLER_HEUN] = {"Heun", "Heun"},
    [TS_SAMPLER_RK45] = {"RK45", "RK45"},
    [TS_SAMPLER_DPMPP2M] = {"DPM-Solver++(2M)", "DPM-Solver++(2M)"},
};

#endif
