/*
 * Inside a fit of a Dirichlet-process mixture: what all have in common, and what its components add: normal-Wishart
 * distributions over Gaussians (dpmixture_wishart.c), or factor analysers (dpmixture_factors.c).
 */
#ifndef TS_DIFFUSION_DENSITIES_DPMIXTURE_FORM_H
#define TS_DIFFUSION_DENSITIES_DPMIXTURE_FORM_H

#include "diffusion/densities/dpmixture.h"

typedef struct ts_dpmixture_fitting {
    const ts_dpmixture_config *config;
    const double *x; /* [n,d] */
    int64_t n;
    int d, k;
    double *share;      /* [k,n]: q(z_n = k), before that its logarithm but for a constant */
    double *entropy;    /* [n] */
    double *count;      /* [k]: points */
    double (*stick)[2]; /* [k]: q(v_k) is Beta(stick) */
    void *components;   /* the form's */
} ts_dpmixture_fitting;

typedef struct ts_dpmixture_form {
    ts_status (*begin)(ts_dpmixture_fitting *f);
    /* Component k given the shares, in a thread of that number: count[k] and its own numbers.  False: its covariance
     * is none. */
    bool (*update)(ts_dpmixture_fitting *f, int k, int thread);
    /* share [k,n] <- constant [k] + E ln p(x | component k) */
    void (*logits)(ts_dpmixture_fitting *f, const double *constant);
    /* What component k adds to the bound right after its update, beside sticks and entropies. */
    double (*bound)(const ts_dpmixture_fitting *f, int k);
    /* What the mixture keeps of a component: doubles of `covariances` and of `factors` (0: none). */
    void (*sizes)(const ts_dpmixture_fitting *f, size_t *covariance, size_t *factors);
    void (*take)(const ts_dpmixture_fitting *f, int k, double *mean, double *covariance, double *factors);
    void (*release)(ts_dpmixture_fitting *f);
} ts_dpmixture_form;

extern const ts_dpmixture_form ts_dpmixture_wishart, ts_dpmixture_factors;

/* psi(x), x > 0. */
double ts_dpmixture_digamma(double x);
double ts_dpmixture_log_gamma(double x);

#endif
