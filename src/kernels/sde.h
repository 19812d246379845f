/*
 * The forward processes dx = f(x,t) dt + g(t) dw with x_t = a(t) x0 + s(t) z, as inline functions that host
 * code and kernels of every device share.  All in double precision.  Formulas: Song et al., "Score-Based
 * Generative Modeling through Stochastic Differential Equations", 2021; importance densities: Franzese et
 * al., arXiv 2206.05173.
 */
#ifndef TS_KERNELS_SDE_H
#define TS_KERNELS_SDE_H

#include <math.h>
#include "base/kinds.h"
#include "philox.h"

/* X(enumerator, word of configurations) */
#define TS_SDE_KINDS(X)                                                                                      \
    X(TS_SDE_VP, "vp")                                                                                       \
    X(TS_SDE_SUBVP, "subvp")                                                                                 \
    X(TS_SDE_VE, "ve")

#define TS_SDE_ENUMERATOR(name, word) name,
typedef enum ts_sde_kind { TS_SDE_KINDS(TS_SDE_ENUMERATOR) TS_SDE_COUNT } ts_sde_kind;

typedef struct ts_sde {
    ts_sde_kind kind;
    double beta_min, beta_max;   /* VP, sub-VP: beta(t) = beta_min + (beta_max - beta_min) t */
    double sigma_min, sigma_max; /* VE: sigma(t) = sigma_min (sigma_max / sigma_min)^t */
} ts_sde;

TS_FN double ts_sde_beta(const ts_sde *e, double t)
{
    return e->beta_min + (e->beta_max - e->beta_min) * t;
}

/* B(t), the integral of beta from 0 to t. */
TS_FN double ts_sde_beta_integral(const ts_sde *e, double t)
{
    return e->beta_min * t + 0.5 * (e->beta_max - e->beta_min) * t * t;
}

/* a(t): the factor of the mean, E x_t = a x0. */
TS_FN double ts_sde_mean(const ts_sde *e, double t)
{
    return e->kind == TS_SDE_VE ? 1.0 : exp(-0.5 * ts_sde_beta_integral(e, t));
}

/* s(t): the standard deviation of x_t given x0. */
TS_FN double ts_sde_std(const ts_sde *e, double t)
{
    if (e->kind == TS_SDE_VE)
        return e->sigma_min * pow(e->sigma_max / e->sigma_min, t);
    double variance = -expm1(-ts_sde_beta_integral(e, t));
    return e->kind == TS_SDE_VP ? sqrt(variance) : variance;
}

/* ln(a^2/s^2), the log signal-to-noise ratio at t. */
TS_FN double ts_sde_log_snr(const ts_sde *e, double t)
{
    if (e->kind == TS_SDE_VE)
        return -2.0 * (log(e->sigma_min) + t * log(e->sigma_max / e->sigma_min));
    double b = ts_sde_beta_integral(e, t), log_variance = log(-expm1(-b));
    return -b - (e->kind == TS_SDE_VP ? 1.0 : 2.0) * log_variance;
}

/* u(t), what networks are told of t: sigma(t) of VE, else 999 t, as score_sde's are; or 25 log-SNR, which
 * spans as much. */
TS_FN double ts_sde_condition(const ts_sde *e, ts_time_input_kind input, double t)
{
    if (input == TS_TIME_INPUT_LOG_SNR)
        return 25.0 * ts_sde_log_snr(e, t);
    return e->kind == TS_SDE_VE ? ts_sde_std(e, t) : 999.0 * t;
}

/* The same for Fourier features: ln u of score_sde's u, or ln(s/a), which for VE is that. */
TS_FN double ts_sde_log_condition(const ts_sde *e, ts_time_input_kind input, double t)
{
    if (input == TS_TIME_INPUT_LOG_SNR)
        return -0.5 * ts_sde_log_snr(e, t);
    if (e->kind == TS_SDE_VE)
        return log(e->sigma_min) + t * log(e->sigma_max / e->sigma_min);
    return log(999.0 * t);
}

/* ln(a^2/(a^2 + s^2)): what share of the variance of x_t unit data have. */
TS_FN double ts_sde_log_share(const ts_sde *e, double t)
{
    double a = ts_sde_mean(e, t), s = ts_sde_std(e, t);
    return 2.0 * log(a) - log(a * a + s * s);
}

/* The drift is linear: f(x,t) = drift(t) x. */
TS_FN double ts_sde_drift(const ts_sde *e, double t)
{
    return e->kind == TS_SDE_VE ? 0.0 : -0.5 * ts_sde_beta(e, t);
}

/* g(t)^2. */
TS_FN double ts_sde_diffusion2(const ts_sde *e, double t)
{
    if (e->kind == TS_SDE_VP)
        return ts_sde_beta(e, t);
    if (e->kind == TS_SDE_SUBVP)
        return ts_sde_beta(e, t) * -expm1(-2.0 * ts_sde_beta_integral(e, t));
    double s = ts_sde_std(e, t);
    return 2.0 * s * s * log(e->sigma_max / e->sigma_min);
}

/* Lambda(t), an antiderivative of g^2/s^2. */
TS_FN double ts_sde_lambda(const ts_sde *e, double t)
{
    if (e->kind == TS_SDE_VE)
        return 2.0 * t * log(e->sigma_max / e->sigma_min);
    double b = ts_sde_beta_integral(e, t);
    if (e->kind == TS_SDE_VP)
        return b + log(-expm1(-b));
    /* 2 ln sinh(b/2), written so that it neither overflows nor cancels */
    return b + 2.0 * log(-expm1(-b)) - 2.0 * 0.69314718055994530942;
}

/* The t with B(t) = b. */
TS_FN double ts_sde_time_of_beta_integral(const ts_sde *e, double b)
{
    double slope = e->beta_max - e->beta_min;
    if (slope == 0.0)
        return b / e->beta_min;
    return 2.0 * b / (e->beta_min + sqrt(e->beta_min * e->beta_min + 2.0 * slope * b));
}

/* The t with Lambda(t) = lambda. */
TS_FN double ts_sde_lambda_inverse(const ts_sde *e, double lambda)
{
    if (e->kind == TS_SDE_VE)
        return lambda / (2.0 * log(e->sigma_max / e->sigma_min));
    double b;
    if (e->kind == TS_SDE_VP)
        b = lambda > 30.0 ? lambda + exp(-lambda) : log1p(exp(lambda));
    else
        b = lambda > 60.0 ? lambda + 2.0 * 0.69314718055994530942 : 2.0 * asinh(exp(0.5 * lambda));
    return ts_sde_time_of_beta_integral(e, b);
}

/* ln(s^2/(a^2 + s^2)): what share of the variance of unit data the noise has. */
TS_FN double ts_sde_log_noise_share(const ts_sde *e, double t)
{
    return log1p(-exp(ts_sde_log_share(e, t)));
}

/* The t with that. */
TS_FN double ts_sde_time_of_log_noise_share(const ts_sde *e, double v)
{
    double ratio = exp(v) / -expm1(v); /* s^2/a^2 */
    if (e->kind == TS_SDE_VE)
        return 0.5 * log(ratio / (e->sigma_min * e->sigma_min)) / log(e->sigma_max / e->sigma_min);
    return ts_sde_time_of_beta_integral(e,
                                        e->kind == TS_SDE_VP ? log1p(ratio) : 2.0 * asinh(0.5 * sqrt(ratio)));
}

/* The weight g^2/s^2 that turns ||net - z||^2 into the likelihood integrand. */
TS_FN double ts_sde_likelihood_weight(const ts_sde *e, double t)
{
    double s = ts_sde_std(e, t);
    return ts_sde_diffusion2(e, t) / (s * s);
}

/* Coefficients that lead from the noise z of x_t = a x0 + s z to what a network predicts, p, and back; v is
 * that of Salimans and Ho 2022. */
typedef struct ts_sde_mix {
    double of_x, of_other; /* of x0 or x_t; of z or p */
} ts_sde_mix;

/* p = of_x x0 + of_other z. */
TS_FN ts_sde_mix ts_sde_target(const ts_sde *e, ts_predicts_kind predicts, double t)
{
    ts_sde_mix mix = {0.0, 1.0};
    if (predicts == TS_PREDICTS_V) {
        mix.of_x = -ts_sde_std(e, t);
        mix.of_other = ts_sde_mean(e, t);
    } else if (predicts == TS_PREDICTS_X0) {
        mix.of_x = 1.0;
        mix.of_other = 0.0;
    }
    return mix;
}

/* z = of_x x_t + of_other p. */
TS_FN ts_sde_mix ts_sde_noise(const ts_sde *e, ts_predicts_kind predicts, double t)
{
    ts_sde_mix mix = {0.0, 1.0};
    if (predicts != TS_PREDICTS_NOISE) {
        double a = ts_sde_mean(e, t), s = ts_sde_std(e, t);
        double whole = predicts == TS_PREDICTS_V ? a * a + s * s : s;
        mix.of_x = (predicts == TS_PREDICTS_V ? s : 1.0) / whole;
        mix.of_other = (predicts == TS_PREDICTS_V ? a : -a) / whole;
    }
    return mix;
}

/* The factor of ||z - z'||^2 = factor ||p - p'||^2 for one and the same x_t. */
TS_FN double ts_sde_noise_factor(const ts_sde *e, ts_predicts_kind predicts, double t)
{
    double of_prediction = ts_sde_noise(e, predicts, t).of_other;
    return of_prediction * of_prediction;
}

#endif
