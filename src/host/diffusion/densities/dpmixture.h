/*
 * A Dirichlet-process mixture of Gaussians, fitted to points by variational inference (Blei and Jordan, "Variational
 * inference for Dirichlet process mixtures", Bayesian Analysis 1, 2006).
 *
 *     v_k ~ Beta(1, concentration),  pi_k = v_k prod_{j<k} (1 - v_j),  z_n ~ pi
 *     Lambda_k ~ Wishart(d, C^-1),   mu_k ~ N(m, Lambda_k^-1),         x_n ~ N(mu_z, Lambda_z^-1)
 *
 * with the points' mean m, and C their covariance (over n - 1) plus d floor I; the q(z_n) know the first `components`
 * alone.  With diagonal covariances every dimension's precision has a Wishart(1, 1/C_ii) of its own, C_ii the variance
 * plus floor.  The points are taken as blurred by N(0, floor I).  So no covariance has an eigenvalue below floor.
 *
 * With factors, for many dimensions: covariances F_k^T F_k + Psi_k, F [factors,d], Psi diagonal and nowhere below floor
 * (mixtures of factor analysers: Ghahramani and Hinton 1996; of whole images: Richardson and Weiss, "On GANs and
 * GMMs", NeurIPS 2018), whose means, F and Psi are those that maximise the bound: dpmixture_factors.c.  No d x d matrix
 * is formed.
 */
#ifndef TS_DIFFUSION_DENSITIES_DPMIXTURE_H
#define TS_DIFFUSION_DENSITIES_DPMIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/progress.h"
#include "base/status.h"

typedef struct ts_dpmixture_config {
    int components;       /* truncation */
    double concentration; /* of the Dirichlet process */
    double floor;         /* variance */
    bool diagonal;        /* covariances */
    int factors;          /* beside diagonal ones; 0: none */
    double tolerance;     /* ends when a step raises the evidence bound by no more, in nats a point */
    int iterations;       /* or after so many steps */
    uint64_t seed;        /* of the groups that it begins from */
    int threads;          /* the result does not depend on it */
    ts_progress *progress;
} ts_dpmixture_config;

/* The plug-in mixture: expected weights (normalised) and means, covariances the inverse of expected precisions; in
 * order of the weights. */
typedef struct ts_dpmixture {
    int k, d, rank;
    double *weights, *means, *covariances; /* [k], [k,d], [k,d,d]; diagonal, and beside factors: [k,d] */
    double *factors;                       /* [k,rank,d] or NULL */
    int iterations;
    bool converged;
    double *bound; /* [iterations + 1]: on the log evidence of all points, nats; it never falls */
} ts_dpmixture;

/* x [n,d], n >= 2.  Errors: TS_NO_MEMORY, TS_NOT_FINITE where a covariance is none, TS_INTERRUPTED. */
ts_status ts_dpmixture_fit(const double *x, int64_t n, int d, const ts_dpmixture_config *config,
                           ts_dpmixture *mixture);
void ts_dpmixture_release(ts_dpmixture *mixture);

#endif
