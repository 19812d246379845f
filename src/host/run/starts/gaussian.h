/*
 * The Gaussian of a run's training data (diffusion/densities/gaussian.h): fitted once, in closed form, for every T.
 *
 *   DIR/gaussian.safetensors   mean [d], eigenvalues [r] (descending) and eigenvectors [r,d] of the covariance over
 *                              n (not n - 1), rest (each other eigenvalue), float64; in its metadata the data's
 *                              checksum and the seconds that it took
 *
 * Images are taken in model scale, unflipped; a mixture's mean and covariance are those of its numbers.
 */
#ifndef TS_RUN_STARTS_GAUSSIAN_H
#define TS_RUN_STARTS_GAUSSIAN_H

#include "base/safetensors.h"
#include "diffusion/densities/gaussian.h"
#include "run/starts/glow.h"

/* Makes the file, unless it is there and is of the run's data and start.rank: result->reused then.  One of others
 * is replaced, for that takes seconds.  result->loss is the mean of -log nu(x_T) / d over the training data, in
 * closed form, and NaN where T is; there are no steps.  options and result may be NULL. */
ts_status ts_gaussian_fit(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result);

/* With all d eigenvectors, whatever start.rank is: that of the file where it has them, else one that is made and not
 * stored. */
ts_status ts_gaussian_whole(const ts_run *run, ts_data_gaussian **gaussian);

/* Tensors as of gaussian.safetensors, their names behind `prefix`: declared, then written in that order; read of a
 * file that has them, of `rank` eigenvectors in d dimensions. */
void ts_gaussian_declare(ts_safetensors_writer *writer, const char *prefix, const ts_data_gaussian *gaussian);
ts_status ts_gaussian_append(ts_safetensors_writer *writer, const ts_data_gaussian *gaussian);
ts_status ts_gaussian_read(ts_safetensors *file, const char *prefix, int d, int rank,
                           ts_data_gaussian **gaussian);

/* That of the run's data and rank: the file's, or one that is made and not stored. */
ts_status ts_gaussian_of_run(const ts_run *run, ts_data_gaussian **gaussian);

/* Its density at T.  Where there is no file it is fitted now, and stored if the run's data and rank are those that
 * stand in the folder.  Errors: TS_INVALID for a file that is of other data. */
ts_status ts_gaussian_open(ts_run *run, double T, int n, ts_density **density);

#endif
