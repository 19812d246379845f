/*
 * A small Glow with arbitrary parameters, for the tests of test_glow.
 */
#ifndef TS_TESTS_GLOW_MODEL_H
#define TS_TESTS_GLOW_MODEL_H

#include "diffusion/densities/whitening.h"

typedef struct glow_model {
    ts_device *device;
    ts_params *params;
    ts_glow *glow;
    ts_glow_config config;
    int d;
    ts_whitening *whitening; /* or NULL */
    double T;                /* of every row, */
    const float *times;      /* but where each has its own */
} glow_model;

/* Ends the program with a message when `status` is an error. */
void must(ts_status status);

/* Every trained parameter is moved by `deviation` times a standard normal, so that nothing is zero. */
glow_model glow_model_make(ts_device *device, int h, int w, int c, int levels, int steps, double deviation);
glow_model glow_model_of(ts_device *device, const ts_glow_config *config, double deviation);
/* The same, whitened at T by a Gaussian of some data under a process. */
glow_model glow_model_make_whitened(ts_device *device, const int shape[5], double deviation,
                                    const ts_data_gaussian *gaussian, const ts_sde *sde, double T);
void glow_model_free(glow_model *m);

/* `count` standard normals of a Philox step of their own. */
void draw_normals(uint32_t step, int64_t count, float *out);

/* x [n,d] -> log_prob [n] and, if wanted, the top latent (whitened: all latents [n,d]). */
void glow_model_encode(const glow_model *m, int n, const float *x, float *log_prob, float *z_top);
/* z_top (NULL: drawn) -> x [n,d]. */
void glow_model_decode(const glow_model *m, int n, const float *z_top, double temperature, uint32_t step,
                       float *x);
/* log |det dz/dx| of one image of a Glow of one level or a whitened one, from the Jacobian by d backward passes. */
double glow_model_log_det(const glow_model *m, const float *x);

/* whitened.c; *state is the device */
void test_begins_as_gaussian(void **state);
void test_whitened_inverse(void **state);
void test_whitened_change_of_variables(void **state);

/* own_score.c */
void test_own_score_of_gaussian(void **state);
void test_own_score(void **state);

/* vectors.c */
void test_vectors(void **state);
void test_one_coordinate(void **state);

/* ln N(z; mean, exp(logs)) of one top latent, from the parameters (test_glow.c). */
double top_log_density(const glow_model *m, const float *z, int channels);

/* conditional.c */
void test_conditional_rows(void **state);
void test_conditional_beginning(void **state);
void test_conditional_density(void **state);
void test_conditional_gradients(void **state);

/* training.c; *state is the device */
void test_conditional_fit(void **state);
void test_initialization(void **state);
void test_entropy(void **state);
void test_guard(void **state);
void test_repeatable(void **state);

#endif
