/* What is known of a mixture on the line by quadrature. */
#include "sweep/internal.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS = 40, NODES = 20001 };

typedef struct line_mixture {
    int k;
    const double *weights, *means;
    double *stds;
    double total; /* of the weights */
} line_mixture;

/* Entropy and second moment of p_t, by the trapezoidal rule, which converges faster than any power here. */
static void integrate(const line_mixture *m, const ts_sde *sde, double t, double *entropy, double *square)
{
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < m->k; i++) {
        const double std = hypot(a * m->stds[i], s);
        low = fmin(low, a * m->means[i] - 12 * std);
        high = fmax(high, a * m->means[i] + 12 * std);
    }
    const double step = (high - low) / (NODES - 1);
    *entropy = *square = 0;
    for (int n = 0; n < NODES; n++) {
        const double x = low + n * step;
        double p = 0;
        for (int i = 0; i < m->k; i++) {
            const double std = hypot(a * m->stds[i], s), z = (x - a * m->means[i]) / std;
            p += m->weights[i] / m->total * exp(-0.5 * z * z) / (std * sqrt(2 * M_PI));
        }
        if (p > 0)
            *entropy -= p * log(p) * step;
        *square += p * x * x * step;
    }
}

/* K(T) = MI(x0; x_eps) - MI(x0; x_T), MI(x0; x_t) = H(x_t) - ln(2 pi e s^2)/2 (de Bruijn). */
static double information(const line_mixture *m, const ts_sde *sde, double t, double *entropy, double *square)
{
    const double s = ts_sde_std(sde, t);
    integrate(m, sde, t, entropy, square);
    return *entropy - 0.5 * log(2 * M_PI * M_E * s * s);
}

ts_status ts_sweep_exact(const ts_config *config, double eps, double T_max, ts_results *results)
{
    const ts_sde sde = ts_config_sde(config);
    line_mixture m = {.k = config->data.mixture.weights.count,
                      .weights = config->data.mixture.weights.v,
                      .means = config->data.mixture.means.v};
    m.stds = calloc((size_t)m.k + 1, sizeof *m.stds);
    results->exact = calloc(POINTS, sizeof *results->exact);
    if (!m.stds || !results->exact) {
        free(m.stds);
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    }
    for (int i = 0; i < m.k; i++) {
        m.total += m.weights[i];
        m.stds[i] = config->data.mixture.stds.rows > 0 ? config->data.mixture.stds.v[i]
                                                       : sqrt(config->data.mixture.covariances.v[i]);
    }
    double entropy, square;
    const double at_eps = information(&m, &sde, eps, &entropy, &square);
    for (int i = 0; i < POINTS; i++) {
        const double T = eps + (T_max - eps) * (i + 1) / POINTS;
        const double sigma = sde.kind == TS_SDE_VE ? ts_sde_std(&sde, T) : 1.0;
        const double K = at_eps - information(&m, &sde, T, &entropy, &square);
        const double cross = 0.5 * log(2 * M_PI * sigma * sigma) + 0.5 * square / (sigma * sigma);
        results->exact[results->exact_count++] = (ts_exact_point){T, cross - entropy, K};
    }
    free(m.stds);
    return NULL;
}
