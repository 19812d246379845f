#include "quality/jackknife.h"

#include <math.h>
#include <stdlib.h>

#include "data/permutation.h"
#include "diffusion/interval.h"

/* The key of the groups, a constant: "jack". */
#define GROUPS_KEY 0x6A61636Bu

int ts_jackknife_groups(int64_t n)
{
    return n < TS_JACKKNIFE_GROUPS ? (int)n : TS_JACKKNIFE_GROUPS;
}

int64_t ts_jackknife_size(int64_t n, int group)
{
    const int groups = ts_jackknife_groups(n);
    return n / groups + (group < n % groups);
}

ts_status ts_jackknife_assign(int64_t n, uint8_t *group)
{
    const int groups = ts_jackknife_groups(n);
    uint32_t *order = n < UINT32_MAX ? malloc(sizeof *order * (size_t)n) : NULL;
    if (!order)
        return ts_error(TS_NO_MEMORY, "distances: no memory for %lld points", (long long)n);
    ts_permutation(GROUPS_KEY, n, order);
    for (int64_t i = 0; i < n; i++)
        group[order[i]] = (uint8_t)(i % groups);
    free(order);
    return NULL;
}

/* pseudo [groups] <- theta_k; returns their mean. */
static double pseudo_values(int64_t n, double value, const double *without, double *pseudo)
{
    const int groups = ts_jackknife_groups(n);
    double mean = 0;
    for (int k = 0; k < groups; k++) {
        const double h = (double)n / (double)ts_jackknife_size(n, k);
        pseudo[k] = h * value - (h - 1) * without[k];
        mean += pseudo[k] / groups;
    }
    return mean;
}

double ts_jackknife_variance(int64_t n, double value, const double *without)
{
    const int groups = ts_jackknife_groups(n);
    if (groups < 2)
        return NAN;
    double pseudo[TS_JACKKNIFE_GROUPS], variance = 0;
    const double mean = pseudo_values(n, value, without, pseudo);
    for (int k = 0; k < groups; k++) {
        const double h = (double)n / (double)ts_jackknife_size(n, k);
        variance += (pseudo[k] - mean) * (pseudo[k] - mean) / (h - 1) / groups;
    }
    return variance;
}

void ts_jackknife_side(ts_estimate *e, int side, int64_t n, const double *without)
{
    double pseudo[TS_JACKKNIFE_GROUPS];
    e->groups[side] = ts_jackknife_groups(n);
    e->variance[side] = without ? ts_jackknife_variance(n, e->value, without) : NAN;
    e->unbiased +=
        without && e->groups[side] > 1 ? pseudo_values(n, e->value, without, pseudo) - e->value : NAN;
}

double ts_jackknife_simultaneous(int count)
{
    const int freedom = TS_JACKKNIFE_GROUPS - 1;
    return ts_student_at(0.05 / (count > 1 ? count : 1), freedom) / ts_student(freedom);
}

void ts_jackknife_ends(ts_distance d, double factor, double *low, double *high)
{
    const double share = d.half > 0 ? factor * d.half / d.value : 0;
    const bool known = isfinite(d.half) && d.value > 0;
    *low = known ? d.value * exp(-share) : 0;
    *high = known ? d.value * exp(share) : INFINITY;
}

ts_distance ts_jackknife_interval(const ts_estimate *e)
{
    const double a = e->variance[0], b = e->variance[1], total = a + b;
    ts_distance d = {e->value, total == 0 ? 0 : NAN};
    if (total > 0) {
        const double freedom = total * total / (a * a / (e->groups[0] - 1) + b * b / (e->groups[1] - 1));
        d.half = ts_student((int)freedom) * sqrt(total);
    }
    return d;
}

ts_distance ts_jackknife_interval_of_square(const ts_estimate *estimate)
{
    ts_distance d = ts_jackknife_interval(estimate);
    if (d.value > 1e-4 * d.half) /* less is rounding, whose root is no scale */
        d.half += d.half * d.half / (4 * d.value);
    return d;
}

ts_distance ts_jackknife_interval_of_share(const ts_estimate *estimate, int64_t n)
{
    ts_distance d = ts_jackknife_interval(estimate);
    const double z2 = 1.959964 * 1.959964, p = d.value, shrink = 1 + z2 / (double)n;
    const double centre = (p + z2 / 2 / (double)n) / shrink;
    const double half = sqrt(z2 * (p * (1 - p) / (double)n + z2 / 4 / (double)n / (double)n)) / shrink;
    if (!isnan(d.half))
        d.half = fmax(d.half, fabs(centre - p) + half);
    return d;
}
