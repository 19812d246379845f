/*
 * How often the bound's interval holds on data that lie on levels, drawn anew for every seed: at least 183 of 200,
 * which is 95 % less two standard errors; more than 196 would be conservative.
 */
#include "diffusion/bound.h"
#include "oracle.h"
#include "parts.h"

enum { SEEDS = 200, LEAST = 183, CONSERVATIVE = 196, COUNT = 400 };

static void draw_levels(uint64_t *state, unsigned char bytes[COUNT])
{
    for (int i = 0; i < COUNT; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        int at = (int)((*state >> 33) % EXAMPLES), level = 0;
        while (at >= level_counts[level])
            at -= level_counts[level++];
        bytes[i] = (unsigned char)used_levels[level];
    }
}

void intervals_cover_on_levels(void **state)
{
    (void)state;
    const double T = 0.4;
    double weights[USED], means[USED], stds[USED], prior[COUNT];
    unsigned char bytes[COUNT];
    uint64_t random = 1;
    int hits = 0;
    void *memory;
    ts_mixture *mixture;
    ts_score *score;
    ts_density *start;
    ts_device *device = open_cpu();
    for (int u = 0; u < USED; u++) {
        weights[u] = level_counts[u];
        means[u] = level_value(used_levels[u]);
        stds[u] = 1e-7;
    }
    must(ts_mixture_create(device, USED, 1, weights, means, stds, NULL, &mixture));
    must(ts_score_mixture(mixture, &vp, 512, &score));
    must(ts_density_mixture(mixture, &vp, T, 512, &start));
    must(device->k->allocate(device, COUNT, &memory));
    const ts_data data = {
        .device = device, .h = 1, .w = 1, .c = 1, .count = COUNT, .levels = LEVELS, .bytes = memory};
    const double wanted = level_bound();
    for (int seed = 0; seed < SEEDS; seed++) {
        const ts_bound_config config = {.sde = vp,
                                        .eps = EPS,
                                        .T_count = 1,
                                        .T = &T,
                                        .draws = 16,
                                        .prior_draws = 8,
                                        .count = COUNT,
                                        .seed = (uint64_t)seed};
        ts_bound bound;
        ts_bound_terms terms;
        draw_levels(&random, bytes);
        must(device->k->upload(device, memory, bytes, COUNT));
        must(ts_bound_measure(&config, &data, score, NULL, NULL, &bound));
        must(ts_bound_prior(&config, &data, T, start, prior, NULL));
        ts_bound_combine(&bound, 0, T, prior, 1, &terms);
        hits += fabs(terms.elbo.mean - wanted) <= terms.elbo.half;
        ts_bound_release(&bound);
    }
    print_message("  levels, exact start: held %d of %d%s\n", hits, SEEDS,
                  hits > CONSERVATIVE ? ", conservative" : "");
    assert_true(hits >= LEAST);
    device->k->release(device, memory);
    ts_density_destroy(start);
    ts_score_destroy(score);
    ts_mixture_destroy(mixture);
    ts_device_close(device);
}
