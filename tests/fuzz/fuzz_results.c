/* sweep.json, as a report reads it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "sweep/results.h"

static char *name_of(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

void fuzz_begin(void)
{
    ts_results r = {.name = name_of("n"),
                    .command = name_of("c"),
                    .version = name_of("v"),
                    .device = name_of("d"),
                    .date = name_of("t"),
                    .config = name_of("seed: 1\n"),
                    .seed = 1,
                    .h = 8,
                    .w = 8,
                    .c = 1,
                    .row_count = 2,
                    .best_count = 1,
                    .profile_count = 1,
                    .fit_count = 1,
                    .phase_count = 1,
                    .exact_count = 1};
    r.rows = calloc(2, sizeof *r.rows);
    r.best = calloc(1, sizeof *r.best);
    r.profiles = calloc(1, sizeof *r.profiles);
    r.exact = calloc(1, sizeof *r.exact);
    r.fits = calloc(1, sizeof *r.fits);
    r.phases = calloc(1, sizeof *r.phases);
    for (int i = 0; i < 2; i++) {
        strcpy(r.rows[i].prior, "normal");
        strcpy(r.rows[i].score, "network");
        strcpy(r.rows[i].sampler, i ? "em" : "rk45");
    }
    r.profiles->count = r.best->count = 2;
    r.profiles->bins = calloc(2, sizeof *r.profiles->bins);
    r.best->T = calloc(2, sizeof(double));
    r.best->deficit = calloc(2, sizeof(double));
    r.best->deficit_half = calloc(2, sizeof(double));
    const char *path = fuzz_file("seed.json", "", 0);
    fuzz_must(ts_results_write_json(&r, path));
    ts_results_release(&r);
    fuzz_seed_file(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_results results;
    ts_status status = ts_results_read_json(fuzz_file("sweep.json", data, size), &results);
    if (!status)
        ts_results_release(&results);
    fuzz_status(status);
    return 0;
}
