/* sweep.json, as a report reads it. */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/config.h"
#include "sweep/results.h"

static char *copy(const char *text)
{
    char *memory = strdup(text);
    if (!memory)
        abort();
    return memory;
}

void fuzz_begin(void)
{
    ts_results r = {.name = copy("n"),
                    .command = copy("c"),
                    .version = copy("v"),
                    .device = copy("d"),
                    .date = copy("t"),
                    .seed = 1,
                    .h = 8,
                    .w = 8,
                    .c = 1};
    ts_config *config;
    char path[256];
    fuzz_must(ts_config_load(NULL, NULL, 0, &config));
    fuzz_must(ts_config_print(config, NULL, &r.config));
    ts_config_free(config);
    fuzz_must(ts_results_make(&r, 1, (ts_score_kind[]){0}, 2, (double[]){1, 0.4}, 2, (ts_start_kind[]){0, 1},
                              2, (ts_sampler_entry[]){{0, 20}, {2, NAN}}));
    r.profile_count = r.fit_count = r.phase_count = r.exact_count = 1;
    r.profiles = calloc(1, sizeof *r.profiles);
    r.exact = calloc(1, sizeof *r.exact);
    r.fits = calloc(1, sizeof *r.fits);
    r.phases = calloc(1, sizeof *r.phases);
    r.profiles->count = 2;
    r.profiles->bins = calloc(2, sizeof *r.profiles->bins);
    fuzz_must(ts_results_write_json(&r, fuzz_folder()));
    ts_results_release(&r);
    snprintf(path, sizeof path, "%s/sweep.json", fuzz_folder());
    fuzz_seed_file(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_results results;
    fuzz_file("sweep.json", data, size);
    ts_status status = ts_results_read(fuzz_folder(), &results);
    if (!status)
        ts_results_release(&results);
    fuzz_status(status);
    return 0;
}
