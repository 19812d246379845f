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

/* What a finding is of. */
typedef struct series {
    const points *at;
    int score, start;
} series;

/* A term of a datum at a point, nats. */
typedef double term(const ts_sweep *s, const series *p, int64_t datum, int j);

static double prior(const ts_sweep *s, const series *p, int64_t datum, int j)
{
    return p->at->grid ? s->prior[ts_sweep_prior_at(s, p->at->grid[j], p->start) + datum]
                       : s->curve.prior[p->start][datum * p->at->count + j];
}

static double diffusion(const ts_sweep *s, const series *p, int64_t datum, int j)
{
    const ts_bound *bound = &s->bounds[p->score];
    return bound
        ->diffusion[datum * bound->T_count + (p->at->grid ? p->at->grid[j] : s->results->T_count + j)];
}

static double network(const ts_sweep *s, const series *p, int64_t datum, int j)
{
    return diffusion(s, p, datum, j) - s->bounds[p->score].reconstruction[datum];
}

static double elbo(const ts_sweep *s, const series *p, int64_t datum, int j)
{
    return -prior(s, p, datum, j) - network(s, p, datum, j);
}

/* values [seeds][count of data][points] */
static void fill(const ts_sweep *s, const series *p, term *of, double *values)
{
    for (int k = 0; k < s->seeds; k++)
        for (int64_t i = 0; i < s->count; i++)
            for (int j = 0; j < p->at->count; j++)
                values[(k * s->count + i) * p->at->count + j] = of(ts_sweep_of_seed(s, k), p, i, j);
}

/* Over data and seeds, of factor times the term at j, or with `from` >= 0 its difference from there. */
static ts_interval over_data(const ts_sweep *s, const series *p, term *of, int from, int j, double factor)
{
    ts_running r = ts_running_of(s->config->data.block, s->seeds);
    for (int64_t i = 0; i < s->count; i++) {
        double of_datum[TS_MOST_SEEDS];
        for (int k = 0; k < s->seeds; k++) {
            const ts_sweep *seed = ts_sweep_of_seed(s, k);
            of_datum[k] = factor * (of(seed, p, i, j) - (from < 0 ? 0 : of(seed, p, i, from)));
        }
        ts_running_add(&r, of_datum);
    }
    return ts_running_interval(&r);
}

static ts_status name_terms(const ts_sweep *s, const series *p, const ts_bands_config *how, double *values,
                            ts_finding *f)
{
    static term *const terms[] = {elbo, prior, network};
    enum { BANDS = sizeof terms / sizeof *terms };
    double *half[BANDS];
    ts_status status = NULL;
    half[0] = malloc(BANDS * sizeof **half * (size_t)f->count);
    if (!half[0])
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int k = 0; k < BANDS && !status; k++) {
        half[k] = half[0] + k * f->count;
        fill(s, p, terms[k], values);
        status = ts_bands_of_means(values, s->count, f->count, how, half[k]);
    }
    for (int j = 0; j < f->count && !status; j++) {
        ts_finding_point *point = &f->points[j];
        point->prior = over_data(s, p, prior, -1, j, 1);
        point->diffusion = over_data(s, p, diffusion, -1, j, 1);
        point->network = over_data(s, p, network, -1, j, 1);
        point->bpd_band = half[0][j] / (s->d * M_LN2);
        point->prior_band = half[1][j];
        point->network_band = half[2][j];
    }
    free(half[0]);
    return status;
}

/* The crossing rule: dI/dLambda = d/2 network_error, and of what obeys the forward process' Fokker-Planck equation
 * d prior/dLambda = -d/2 start_error. */
static void name_errors(const ts_sweep *s, const series *p, ts_finding *f)
{
    const ts_sde sde = ts_config_sde(s->config);
    const double *T = p->at->T;
    for (int j = 0; j < f->count; j++) {
        const int low = j > 0 ? j - 1 : 0, high = j + 1 < f->count ? j + 1 : j;
        const double factor = 2 / (s->d * (ts_sde_lambda(&sde, T[high]) - ts_sde_lambda(&sde, T[low])));
        f->points[j].network_error =
            p->at->grid ? (ts_interval){NAN, NAN} : over_data(s, p, diffusion, low, high, factor);
        f->points[j].start_error =
            p->at->grid ? ts_results_bound(s->results, p->score, p->at->grid[j], p->start)->start_error
                        : over_data(s, p, prior, low, high, -factor);
    }
}

static ts_status find(const ts_sweep *s, const series *p, double *values)
{
    ts_results *r = s->results;
    ts_finding *f = &r->findings[r->finding_count++];
    const ts_bands_config how = {.tolerance = s->config->sweep.tolerance * s->d * M_LN2,
                                 .repetitions = TS_BANDS_REPETITIONS,
                                 .block = s->config->data.block,
                                 .seeds = s->seeds,
                                 .seed = (uint64_t)s->config->run.seed,
                                 .threads = s->run->device->threads};
    f->start = r->starts[p->start];
    f->score = r->scores[p->score];
    fill(s, p, elbo, values);
    TS_TRY(ts_sweep_find(values, s->count, p->at->count, p->at->T, s->d, &how, f));
    f->tolerance = s->config->sweep.tolerance; /* as it was asked for, not to nats and back */
    name_errors(s, p, f);
    return name_terms(s, p, &how, values, f); /* `values` are others then */
}

static ts_status find_each(const ts_sweep *s, const points *grid, double *values)
{
    const ts_results *r = s->results;
    const points curve = {s->curve.count, s->curve.T, NULL};
    for (int score = 0; score < r->score_count; score++)
        for (int start = 0; start < r->start_count; start++) {
            const series p = {ts_sweep_has_curve(s, score, start) ? &curve : grid, score, start};
            TS_TRY(find(s, &p, values));
        }
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
    double *values = malloc(sizeof *values * (size_t)most * (size_t)s->count * (size_t)s->seeds);
    double *T = malloc(sizeof *T * (size_t)r->T_count);
    int *grid = malloc(sizeof *grid * (size_t)r->T_count);
    r->findings = calloc((size_t)(r->score_count * r->start_count), sizeof *r->findings);
    ts_status status = NULL;
    if (!values || !T || !grid || !r->findings) {
        status = ts_error(TS_NO_MEMORY, "sweep: no memory for the bound at %d T", most);
    } else {
        ascend(r, grid, T);
        status = find_each(s, &(points){r->T_count, T, grid}, values);
    }
    free(values);
    free(T);
    free(grid);
    return status;
}
