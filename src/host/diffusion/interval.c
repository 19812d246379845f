#include "diffusion/interval.h"

#include <math.h>
#include <stddef.h>

static void add(ts_moments *m, double value)
{
    const double deviation = value - m->mean;
    m->mean += deviation / (double)++m->count;
    m->squares += deviation * (value - m->mean);
}

ts_running ts_running_of(int64_t block, int seeds)
{
    return (ts_running){.block = block > 1 ? block : 1, .seeds = seeds};
}

void ts_running_add(ts_running *r, const double *values)
{
    double mean = 0;
    for (int k = 0; k < r->seeds; k++) {
        mean += values[k] / r->seeds;
        r->seed[k] += (values[k] - r->seed[k]) / (double)(r->data.count + 1);
    }
    add(&r->data, mean);
    if (r->block == 1)
        return;
    add(&r->within, mean);
    if (r->within.count == r->block) {
        add(&r->blocks, r->within.mean);
        r->within = (ts_moments){0};
    }
}

double ts_running_between(const ts_running *r)
{
    ts_moments m = {0};
    for (int k = 0; k < r->seeds; k++)
        add(&m, r->seed[k]);
    return r->seeds > 1 ? sqrt(m.squares / (r->seeds - 1)) : NAN;
}

ts_interval ts_running_interval(const ts_running *r)
{
    const ts_moments *parts = r->block == 1 ? &r->data : &r->blocks;
    const double count = (double)r->data.count / (double)r->block, more = (double)(parts->count - 1);
    ts_interval i = {r->data.mean, INFINITY};
    if (parts->count < 2)
        return i;
    i.half = (r->block == 1 ? 1.96 : ts_student((int)fmin(more, 1e9))) * sqrt(parts->squares / more / count);
    if (r->seeds > 1)
        i.half = hypot(i.half, ts_student(r->seeds - 1) * ts_running_between(r) / sqrt(r->seeds));
    return i;
}

ts_interval ts_interval_of(const double *values, int64_t count)
{
    return ts_interval_of_blocks(values, count, 1);
}

ts_interval ts_interval_of_blocks(const double *values, int64_t count, int64_t block)
{
    ts_running r = ts_running_of(block, 1);
    for (int64_t i = 0; i < count; i++)
        ts_running_add(&r, &values[i]);
    return ts_running_interval(&r);
}

ts_status ts_blocks_check(int64_t count, int64_t block)
{
    if (block <= 1 || count / block >= 2)
        return NULL;
    return ts_error(
        TS_INVALID,
        "data.block: %lld held-out data make %lld whole block%s of %lld; intervals take at least 2, "
        "so data.block is at most %lld here",
        (long long)count, (long long)(count / block), count / block == 1 ? "" : "s", (long long)block,
        (long long)(count / 2));
}

/* The point below which a normal number falls with this probability < 1/2, by bisection. */
static double normal_quantile(double probability)
{
    double low = -40, high = 0;
    for (int i = 0; i < 100; i++) {
        const double middle = 0.5 * (low + high);
        if (0.5 * erfc(-middle * M_SQRT1_2) < probability)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double ts_student(int freedom)
{
    return ts_student_at(0.05, freedom);
}

double ts_student_at(double p, int freedom)
{
    /* Hill 1970 (Algorithm 396), from the normal quantile; the first two in closed form */
    if (freedom <= 1)
        return tan(0.5 * (1 - p) * M_PI);
    if (freedom == 2)
        return sqrt(2 / (p * (2 - p)) - 2);
    const double n = freedom, a = 1 / (n - 0.5), b = 48 / (a * a);
    double c = ((20700 * a / b - 98) * a - 16) * a + 96.36;
    const double d = ((94.5 / (b + c) - 3) / b + 1) * sqrt(a * M_PI / 2) * n;
    double y = pow(d * p, 2 / n);
    if (y > 0.05 + a) {
        const double x = normal_quantile(0.5 * p);
        y = x * x;
        if (freedom < 5)
            c += 0.3 * (n - 4.5) * (x + 0.6);
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
        y = expm1(a * y * y);
    } else {
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) *
                (n + 1) / (n + 2) +
            1 / y;
    }
    return sqrt(n * y);
}
