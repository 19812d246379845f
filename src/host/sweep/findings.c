/* Which T is the best, and from which on it is long enough: the bound at every T, datum by datum, and its bands. */
#include "sweep/internal.h"

#include <math.h>
#include <stdlib.h>

/* ---- one start and score ---- */

/* Of the bound at a point, bits/dim. */
static ts_running bits_at(const double *elbo, int64_t n, int points, int j, double bits,
                          const ts_bands_config *how)
{
    ts_running r = ts_running_of(how->block, how->seeds > 1 ? how->seeds : 1);
    for (int64_t i = 0; i < n; i++) {
        double of_datum[TS_MOST_SEEDS];
        for (int k = 0; k < r.seeds; k++)
            of_datum[k] = -elbo[(k * n + i) * points + j] * bits;
        ts_running_add(&r, of_datum);
    }
    return r;
}

static void conclude(const ts_bands *bands, const double *T, double bits, ts_finding *f)
{
    f->T_best = T[bands->best];
    f->T_best_low = T[bands->best_low];
    f->T_best_high = T[bands->best_high];
    f->T_star = T[bands->star];
    f->T_star_low = T[bands->star_low];
    f->T_star_high = T[bands->star_high];
    f->tie = bands->tie;
    for (int j = 0; j < bands->points; j++) {
        ts_finding_point *p = &f->points[j];
        p->T = T[j];
        p->loss = bands->loss[j] * bits;
        p->loss_low = bands->loss_low[j] * bits;
        p->loss_high = bands->loss_high[j] * bits;
        p->chance = bands->chance[j];
    }
}

ts_status ts_sweep_find(const double *elbo, int64_t n, int points, const double *T, int d,
                        const ts_bands_config *how, ts_finding *finding)
{
    const double bits = 1 / (d * M_LN2);
    ts_bands bands;
    finding->tolerance = how->tolerance * bits;
    finding->seeds = how->seeds > 1 ? how->seeds : 1;
    finding->count = points;
    finding->points = calloc((size_t)points, sizeof *finding->points);
    ts_status status = finding->points ? ts_bands_make(elbo, n, points, how, &bands)
                                       : ts_error(TS_NO_MEMORY, "sweep: no memory");
    if (!status) {
        conclude(&bands, T, bits, finding);
        for (int j = 0; j < points; j++) {
            const ts_running r = bits_at(elbo, n, points, j, bits, how);
            finding->points[j].bpd = ts_running_interval(&r);
            if (j == bands.best)
                finding->between = ts_running_between(&r);
        }
        ts_bands_release(&bands);
    }
    return status;
}

/* ---- all of them ---- */

/* The points of a finding, T ascending: those of the curve, or the sweep's T. */
typedef struct points {
    int count;
    const double *T;
    const int *grid; /* which of the sweep's T; NULL: the curve */
} points;

/* The prior term of a datum at a point, and the column of its diffusion term. */
static double prior_at(const ts_sweep *s, const points *p, int start, int64_t datum, int j)
{
    return p->grid ? s->prior[ts_sweep_prior_at(s, p->grid[j], start) + datum]
                   : s->curve.prior[start][datum * p->count + j];
}

static int column_of(const ts_sweep *s, const points *p, int j)
{
    return p->grid ? p->grid[j] : s->results->T_count + j;
}

static void fill(const ts_sweep *s, const points *p, int score, int start, double *elbo)
{
    const ts_bound *bound = &s->bounds[score];
    for (int64_t i = 0; i < s->count; i++)
        for (int j = 0; j < p->count; j++)
            elbo[i * p->count + j] = bound->reconstruction[i] - prior_at(s, p, start, i, j) -
                                     bound->diffusion[i * bound->T_count + column_of(s, p, j)];
}

/* Means over data, and over seeds. */
static void name_terms(const ts_sweep *s, const points *p, int score, int start, ts_finding *f)
{
    const double count = (double)s->count * s->seeds;
    for (int k = 0; k < s->seeds; k++) {
        const ts_sweep *of = ts_sweep_of_seed(s, k);
        const ts_bound *bound = &of->bounds[score];
        for (int j = 0; j < p->count; j++)
            for (int64_t i = 0; i < s->count; i++) {
                f->points[j].prior += prior_at(of, p, start, i, j) / count;
                f->points[j].diffusion += bound->diffusion[i * bound->T_count + column_of(s, p, j)] / count;
            }
    }
}

/* The crossing rule: dI/dLambda = d/2 network_error, and of what obeys the forward process' Fokker-Planck equation
 * d prior/dLambda = -d/2 start_error. */
static void name_errors(const ts_sweep *s, const points *p, ts_finding *f)
{
    const ts_sde sde = ts_config_sde(s->config);
    for (int j = 0; j < p->count; j++) {
        const int low = j > 0 ? j - 1 : 0, high = j + 1 < p->count ? j + 1 : j;
        const double factor = 2 / (s->d * (ts_sde_lambda(&sde, p->T[high]) - ts_sde_lambda(&sde, p->T[low])));
        const ts_finding_point *from = &f->points[low], *to = &f->points[high];
        f->points[j].network_error = p->grid ? NAN : factor * (to->diffusion - from->diffusion);
        f->points[j].start_error = p->grid ? NAN : factor * (from->prior - to->prior);
    }
}

static ts_status find(const ts_sweep *s, const points *p, int score, int start, double *elbo)
{
    ts_results *r = s->results;
    ts_finding *f = &r->findings[r->finding_count++];
    const ts_bands_config how = {.tolerance = s->config->sweep.tolerance * s->d * M_LN2,
                                 .repetitions = TS_BANDS_REPETITIONS,
                                 .block = s->config->data.block,
                                 .seeds = s->seeds,
                                 .seed = (uint64_t)s->config->run.seed,
                                 .threads = s->run->device->threads};
    f->start = r->starts[start];
    f->score = r->scores[score];
    for (int k = 0; k < s->seeds; k++)
        fill(ts_sweep_of_seed(s, k), p, score, start, elbo + k * s->count * p->count);
    TS_TRY(ts_sweep_find(elbo, s->count, p->count, p->T, s->d, &how, f));
    f->tolerance = s->config->sweep.tolerance; /* as it was asked for, not to nats and back */
    name_terms(s, p, score, start, f);
    name_errors(s, p, f);
    return NULL;
}

static ts_status find_all(const ts_sweep *s, const points *grid, double *elbo)
{
    const ts_results *r = s->results;
    const points curve = {s->curve.count, s->curve.T, NULL};
    for (int score = 0; score < r->score_count; score++)
        for (int start = 0; start < r->start_count; start++)
            TS_TRY(find(s, ts_sweep_has_curve(s, score, start) ? &curve : grid, score, start, elbo));
    return NULL;
}

/* The places of the sweep's T in ascending order, by insertion. */
static void ascend(const ts_results *r, int *grid, double *T)
{
    for (int t = 0; t < r->T_count; t++) {
        int place = t;
        for (; place > 0 && T[place - 1] > r->T[t]; place--) {
            T[place] = T[place - 1];
            grid[place] = grid[place - 1];
        }
        T[place] = r->T[t];
        grid[place] = t;
    }
}

ts_status ts_sweep_find_all(const ts_sweep *s)
{
    ts_results *r = s->results;
    const int most = s->curve.count > r->T_count ? s->curve.count : r->T_count;
    double *elbo = malloc(sizeof *elbo * (size_t)most * (size_t)s->count * (size_t)s->seeds);
    double *T = malloc(sizeof *T * (size_t)r->T_count);
    int *grid = malloc(sizeof *grid * (size_t)r->T_count);
    r->findings = calloc((size_t)(r->score_count * r->start_count), sizeof *r->findings);
    ts_status status = NULL;
    if (!elbo || !T || !grid || !r->findings) {
        status = ts_error(TS_NO_MEMORY, "sweep: no memory for the bound at %d T", most);
    } else {
        ascend(r, grid, T);
        status = find_all(s, &(points){r->T_count, T, grid}, elbo);
    }
    free(elbo);
    free(T);
    free(grid);
    return status;
}
