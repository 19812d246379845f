/* How often the intervals hold what they are about, on features whose laws are known; and what the extrapolation is worth. */
#include <stdlib.h>

#include "measures_test.h"

enum { SEEDS = 200 };

/* 95 % less and more than two standard errors of 200 draws. */
enum { LEAST = 183, CONSERVATIVE = 196 };

typedef struct law {
    const char *name;
    int n, m, d;
    double shift, scale; /* of the second set, each coordinate; the first is N(0, I) */
} law;

/* E k(x, y) of the cubic kernel for independent x, y, N(p, s^2 I) both, or N(0, I) and that. */
static double mean_kernel(const law *l, int sets)
{
    const double d = l->d, s2 = l->scale * l->scale, p2 = d * l->shift * l->shift;
    const double first = sets == 2 ? p2 : 0, second = sets == 0   ? d
                                                      : sets == 1 ? p2 + s2 * d
                                                                  : p2 * p2 + 2 * s2 * p2 + s2 * s2 * d;
    const double third =
        sets == 2 ? p2 * p2 * p2 + 3 * p2 * (2 * s2 * p2 + s2 * s2 * d) + 6 * s2 * s2 * p2 : 0;
    return third / (d * d * d) + 3 * second / (d * d) + 3 * first / d + 1;
}

static double closed_form(const law *l, int measure)
{
    if (measure == FRECHET)
        return l->d * (l->shift * l->shift + (l->scale - 1) * (l->scale - 1));
    return measure == KERNEL ? mean_kernel(l, 0) + mean_kernel(l, 2) - 2 * mean_kernel(l, 1) : NAN;
}

static double half_of(const law *l, int measure, const ts_estimate *e)
{
    if (measure == FRECHET)
        return ts_jackknife_interval_of_square(e).half;
    if (measure == KERNEL)
        return ts_jackknife_interval(e).half;
    return ts_jackknife_interval_of_share(e, measure == RECALL ? l->n : l->m).half;
}

static void check(const law *l, int measure, const ts_estimate *e)
{
    const double known = closed_form(l, measure);
    double mean = 0, variance = 0, width = 0;
    int hits = 0;
    for (int i = 0; i < SEEDS; i++)
        mean += e[i].value / SEEDS;
    for (int i = 0; i < SEEDS; i++) {
        const double half = half_of(l, measure, &e[i]);
        variance += (e[i].value - mean) * (e[i].value - mean) / (SEEDS - 1);
        width += half / SEEDS;
        hits += fabs(e[i].value - mean) <= half;
    }
    print_message(
        "  %-12s %-10s n %d m %d: mean %.4f (of the laws %.4f), deviation %.4f, mean half width %.4f, held %d of %d%s\n",
        l->name, measure_names[measure], l->n, l->m, mean, known, sqrt(variance), width, hits, SEEDS,
        hits > CONSERVATIVE ? ", conservative" : "");
    assert_true(hits >= LEAST);
    assert_true(width < 5 * sqrt(variance) || mean > 0.98); /* and not by being wide; shares next to 1 are */
    if (measure == KERNEL)                                  /* which is unbiased */
        NEAR(mean, known, 4 * sqrt(variance / SEEDS));
}

void coverage(void **state)
{
    (void)state;
    const law laws[] = {{"scaled", 120, 160, 6, 0, 1.4},
                        {"shifted", 120, 160, 6, 0.5, 1},
                        {"one law", 120, 160, 6, 0, 1},
                        {"n < d", 40, 60, 80, 0.2, 1.2}};
    for (size_t k = 0; k < sizeof laws / sizeof *laws; k++) {
        const law *l = &laws[k];
        static ts_estimate estimates[MEASURES][SEEDS];
        float *a = malloc(sizeof *a * (size_t)(l->n * l->d)), *b = malloc(sizeof *b * (size_t)(l->m * l->d));
        assert_true(a && b);
        for (int i = 0; i < SEEDS; i++) {
            ts_estimate e[MEASURES];
            normals(a, l->n * l->d, 0, 1);
            normals(b, l->m * l->d, l->shift, l->scale);
            measure_all(a, l->n, b, l->m, l->d, 2, e);
            for (int j = 0; j < MEASURES; j++)
                estimates[j][i] = e[j];
        }
        for (int j = 0; j < MEASURES; j++)
            check(l, j, estimates[j]);
        free(b);
        free(a);
    }
}

/* The Frechet distance of finite sets lies above that of their laws by an amount that goes with 1/n; what is
 * extrapolated lies nearer by an order. */
void extrapolation(void **state)
{
    (void)state;
    const law l = {"", 100, 150, 8, 0.3, 1.2};
    float a[100 * 8], b[150 * 8];
    double value = 0, unbiased = 0, square = 0;
    for (int i = 0; i < SEEDS; i++) {
        ts_estimate e[MEASURES];
        normals(a, l.n * l.d, 0, 1);
        normals(b, l.m * l.d, l.shift, l.scale);
        measure_all(a, l.n, b, l.m, l.d, 2, e);
        value += e[FRECHET].value / SEEDS;
        unbiased += e[FRECHET].unbiased / SEEDS;
        square += e[FRECHET].unbiased * e[FRECHET].unbiased / SEEDS;
    }
    const double known = closed_form(&l, FRECHET), error = sqrt((square - unbiased * unbiased) / SEEDS);
    print_message("  of the laws %.4f; of finite sets %.4f; extrapolated %.4f +- %.4f\n", known, value,
                  unbiased, error);
    assert_true(value > known + 8 * error);
    NEAR(unbiased, known, 3 * error);
}
