/*
 * tstar as a library: train a score-based diffusion model, fit the density that starts its reverse process at
 * a short diffusion time T, bound the likelihood, and sample.  What this header does not offer, the program
 * does (tstar --help).
 *
 * Conventions
 *   Functions return 0, or 2 for a mistake in what was asked (a wrong key, a damaged file, too little memory)
 *   and 1 for a failure; *error then gets a message of one line, naming the file, key or limit, which the
 *   caller frees with free().  `error` may be NULL.  The library prints nothing and never ends the process.
 *   There is no global state: different models may be used from different threads, one model by one thread at
 *   a time.
 */
#ifndef TSTAR_TSTAR_H
#define TSTAR_TSTAR_H

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#pragma GCC visibility push(default) /* these, and nothing else, are seen of the shared library */
#endif

/* "0.1.0" */
const char *tstar_version(void);

/* Where and how to compute.  All zero is a good choice. */
typedef struct tstar_options {
    const char *device; /* "cpu", "cuda", "cuda:1", "auto"; NULL: "auto" */
    int threads;        /* CPU threads; 0: all */
    /* Called now and then: phase ("train", "fit T=0.4", "bound", "sample") has done `done` of `total` pieces.
     * Anything but 0 asks to stop: the call ends at its next step with 1, training after writing a
     * checkpoint. NULL: not wanted. */
    int (*progress)(void *context, const char *phase, double done, double total);
    void *context; /* handed to progress */
} tstar_options;

/* Trains the model of a YAML configuration in the run directory `run`, or continues there if it holds a
 * checkpoint; the result is bitwise the same however often the training was stopped.  overrides [count] are
 * "key=value", such as "train.steps=1000". */
int tstar_train(const char *config, const char *const *overrides, int count, const char *run,
                const tstar_options *options, char **error);

/* Fits a Glow to x_T at diffusion time T and stores it in the run directory; a finished fit is kept, and one
 * of other settings or data is an error.  A fit that was stopped goes on from where it was. */
int tstar_fit(const char *run, double T, const tstar_options *options, char **error);

/* A model with its weights (the averaged ones). */
typedef struct tstar_model tstar_model;

/* `path`: a run directory, or the configuration of a Gaussian mixture whose score is exact (model.kind
 * exact). `options` is copied; its strings are not needed after the call. */
int tstar_open(const char *path, const char *const *overrides, int count, const tstar_options *options,
               tstar_model **model, char **error);
void tstar_close(tstar_model *model); /* NULL is fine */

/* Height, width and channels of one datum; vectors are 1, 1, d. */
void tstar_shape(const tstar_model *model, int *height, int *width, int *channels);

typedef struct tstar_estimate {
    double mean, half; /* 95 % interval over data: mean +- half */
} tstar_estimate;

/* elbo = reconstruction - prior - diffusion, in nats a datum; bpd = -elbo / (d ln 2). */
typedef struct tstar_bound {
    tstar_estimate elbo, bpd, reconstruction, prior, diffusion;
} tstar_bound;

/* The evidence lower bound on held-out data, with the reverse process started at T from `start`: "normal",
 * "gaussian" (the training data's mean and covariance, carried to T), "glow" (fitted before) or, for mixture data,
 * "mixture" (the exact density). */
int tstar_elbo(tstar_model *model, double T, const char *start, tstar_bound *bound, char **error);

/* n samples [n,height,width,channels], images in [-1, 1].  sampler: "em", "heun", "rk45", "dpmpp2m"; NULL: as
 * configured.  *nfe (may be NULL) gets the network evaluations a sample took. */
int tstar_sample(tstar_model *model, double T, const char *start, const char *sampler, int n, float *samples,
                 double *nfe, char **error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
