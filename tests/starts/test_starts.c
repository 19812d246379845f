/*
 * The Gaussian start: its density against plain double precision, its samples' moments, and its file.
 *
 * To add a start, compare its density at T with an independent one, and check what its file is good for.
 */
#define FOLDER "test_starts_files"

#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include "base/safetensors.h"
#include "diffusion/bound.h"
#include "diffusion/densities/gaussian.h"
#include "oracle.h"
#include "run/starts/gaussian.h"
#include "run/starts.h"
#include "run_files.h"

#define FIT "/gaussian.safetensors"

enum { D = 5, N = 12 };

/* ---- the density, apart from the engine ---- */

/* A mean, and a covariance B B^T: of full rank, or, its last dimension all the same, singular. */
static void make_moments(bool singular, double mean[D], double covariance[D][D])
{
    double b[D][D];
    for (int i = 0; i < D; i++) {
        mean[i] = sin(3 * i + 1);
        for (int j = 0; j < D; j++)
            b[i][j] = singular && i == D - 1 ? 0 : cos(7 * i + 3 * j * j) / (1 + j);
    }
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++) {
            covariance[i][j] = 0;
            for (int k = 0; k < D; k++)
                covariance[i][j] += b[i][k] * b[j][k];
        }
}

/* a^2 C + s^2 I = L L^T; returns ln of its determinant. */
static double cholesky(const double c[D][D], double a, double s, double l[D][D])
{
    double log_determinant = 0;
    for (int i = 0; i < D; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a * a * c[i][j] + (i == j ? s * s : 0);
            for (int k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
            log_determinant += i == j ? 2 * log(l[i][i]) : 0;
        }
    return log_determinant;
}

/* |L^-1 y|^2 */
static double quadratic(const double l[D][D], const double y[D])
{
    double u[D], sum = 0;
    for (int i = 0; i < D; i++) {
        u[i] = y[i];
        for (int k = 0; k < i; k++)
            u[i] -= l[i][k] * u[k];
        u[i] /= l[i][i];
        sum += u[i] * u[i];
    }
    return sum;
}

/* log N(x; a m, a^2 C + s^2 I), or with `spread` its mean over x + spread z. */
static double reference(const double mean[D], const double c[D][D], double a, double s, const double x[D],
                        double spread)
{
    double l[D][D], y[D], sum = D * log(2 * M_PI) + cholesky(c, a, s, l);
    for (int i = 0; i < D; i++)
        y[i] = x[i] - a * mean[i];
    sum += quadratic(l, y);
    for (int i = 0; i < D; i++) { /* the trace of the inverse, column by column */
        const double unit[D] = {[0] = i == 0, [1] = i == 1, [2] = i == 2, [3] = i == 3, [4] = i == 4};
        sum += spread * spread * quadratic(l, unit);
    }
    return -0.5 * sum;
}

static ts_data_gaussian *gaussian_of(const double mean[D], const double covariance[D][D], int rank)
{
    double copy[D][D];
    ts_data_gaussian *gaussian;
    memcpy(copy, covariance, sizeof copy);
    must(ts_data_gaussian_of_moments(D, rank, mean, copy[0], &gaussian));
    return gaussian;
}

static void download(ts_device *device, void *host, const void *from, size_t bytes)
{
    must(device->k->download(device, host, from, bytes));
}

static float *points(ts_device *device, float host[N][D])
{
    void *x;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D; j++)
            host[i][j] = (float)(2 * sin(5 * i + 2 * j * j + 1));
    must(device->k->allocate(device, sizeof(float) * N * D, &x));
    must(device->k->upload(device, x, host, sizeof(float) * N * D));
    return x;
}

/* At a few T of each process, log_prob and expected_log_prob are those of the covariance `c`. */
static void compare(ts_device *device, const ts_data_gaussian *gaussian, const double mean[D],
                    const double c[D][D])
{
    static const double times[] = {0.02, 0.1, 0.4, 1};
    const ts_sde *const processes[] = {&vp, &subvp, &ve};
    float host[N][D], *x = points(device, host);
    double values[N], constant;
    void *out;
    must(device->k->allocate(device, sizeof values, &out));
    for (int k = 0; k < 3 * 4; k++) {
        const ts_sde *sde = processes[k / 4];
        const double a = ts_sde_mean(sde, times[k % 4]), s = ts_sde_std(sde, times[k % 4]);
        ts_density *density;
        must(ts_density_gaussian(device, gaussian, a, s, N, &density));
        assert_string_equal(density->name, "gaussian");
        must(density->log_prob(density, x, out));
        download(device, values, out, sizeof values);
        for (int i = 0; i < N; i++) {
            double at[D];
            for (int j = 0; j < D; j++)
                at[j] = (double)host[i][j];
            const double wanted = reference(mean, c, a, s, at, 0);
            NEAR(values[i], wanted, 1e-9 * fabs(wanted));
        }
        /* of this T's process, and of another a and s */
        for (int other = 0; other < 2; other++) {
            const double a2 = other ? 0.7 : a, s2 = other ? 0.3 : s;
            must(density->expected_log_prob(density, a2, s2, x, out, &constant));
            download(device, values, out, sizeof values);
            for (int i = 0; i < N; i++) {
                double at[D];
                for (int j = 0; j < D; j++)
                    at[j] = a2 * (double)host[i][j];
                const double wanted = reference(mean, c, a, s, at, s2);
                NEAR(values[i] + constant, wanted, 1e-9 * fabs(wanted));
            }
        }
        ts_density_destroy(density);
    }
    device->k->release(device, out);
    device->k->release(device, x);
}

static void test_density(void **state)
{
    (void)state;
    ts_device *device = open_cpu();
    for (int singular = 0; singular < 2; singular++) {
        double mean[D], covariance[D][D];
        make_moments(singular, mean, covariance);
        ts_data_gaussian *gaussian = gaussian_of(mean, covariance, singular ? 512 : D);
        assert_int_equal(gaussian->rank, D);
        compare(device, gaussian, mean, covariance);
        for (int i = 1; i < D; i++)
            assert_true(gaussian->values[i] <= gaussian->values[i - 1] && gaussian->values[i] >= 0);
        ts_data_gaussian_destroy(gaussian);
    }
    ts_device_close(device);
}

/* Of rank r: the covariance's trace and r largest eigenpairs stay, whatever is orthogonal to them has one variance. */
static void test_low_rank(void **state)
{
    (void)state;
    double mean[D], covariance[D][D], low[D][D], trace = 0;
    ts_device *device = open_cpu();
    make_moments(false, mean, covariance);
    ts_data_gaussian *whole = gaussian_of(mean, covariance, D);
    for (int rank = 1; rank < D; rank++) {
        ts_data_gaussian *gaussian = gaussian_of(mean, covariance, rank);
        double rest = 0;
        for (int k = rank; k < D; k++)
            rest += whole->values[k] / (D - rank);
        NEAR(gaussian->rest, rest, 1e-12);
        trace = 0;
        for (int i = 0; i < D; i++)
            for (int j = 0; j < D; j++) {
                low[i][j] = i == j ? rest : 0;
                for (int k = 0; k < rank; k++)
                    low[i][j] +=
                        (whole->values[k] - rest) * whole->vectors[k * D + i] * whole->vectors[k * D + j];
                trace += i == j ? low[i][i] - covariance[i][i] : 0;
            }
        NEAR(trace, 0, 1e-12);
        compare(device, gaussian, mean, low);
        ts_data_gaussian_destroy(gaussian);
    }
    ts_data_gaussian_destroy(whole);
    ts_device_close(device);
}

/* The entropy is minus the mean of the log-density over draws, and these have its moments. */
static void test_samples(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    const double a = 0.8, s = 0.4;
    static float host[DRAWS][D];
    static double values[DRAWS];
    double mean[D], covariance[D][D], sum = 0, square = 0;
    ts_device *device = open_cpu();
    ts_density *density;
    void *x, *out, *step;
    const ts_step_state start = {.seed = 5};
    make_moments(false, mean, covariance);
    ts_data_gaussian *gaussian = gaussian_of(mean, covariance, D);
    must(ts_density_gaussian(device, gaussian, a, s, DRAWS, &density));
    must(device->k->allocate(device, sizeof host, &x));
    must(device->k->allocate(device, sizeof values, &out));
    must(device->k->allocate(device, sizeof start, &step));
    must(device->k->upload(device, step, &start, sizeof start));
    must(density->sample(density, step, x));
    must(density->log_prob(density, x, out));
    download(device, host, x, sizeof host);
    download(device, values, out, sizeof values);
    for (int i = 0; i < D; i++)
        for (int j = 0; j <= i; j++) {
            double first = 0, second = 0;
            const double wanted = a * a * covariance[i][j] + (i == j ? s * s : 0);
            const double vi = a * a * covariance[i][i] + s * s, vj = a * a * covariance[j][j] + s * s;
            for (int k = 0; k < DRAWS; k++) {
                first += ((double)host[k][i] - a * mean[i]) / DRAWS;
                second += ((double)host[k][i] - a * mean[i]) * ((double)host[k][j] - a * mean[j]) / DRAWS;
            }
            NEAR(first, 0, 5 * sqrt(vi / DRAWS));
            NEAR(second, wanted, 5 * sqrt((vi * vj + wanted * wanted) / DRAWS));
        }
    for (int k = 0; k < DRAWS; k++) {
        sum += values[k] / DRAWS;
        square += values[k] * values[k] / DRAWS;
    }
    NEAR(-sum, ts_data_gaussian_entropy(gaussian, a, s), 5 * sqrt((square - sum * sum) / DRAWS));
    device->k->release(device, x);
    device->k->release(device, out);
    device->k->release(device, step);
    ts_density_destroy(density);
    ts_data_gaussian_destroy(gaussian);
    ts_device_close(device);
}

static void test_refused(void **state)
{
    (void)state;
    double mean[D], covariance[D][D];
    ts_device *device = open_cpu();
    ts_density *density;
    ts_data_gaussian *none;
    make_moments(false, mean, covariance);
    ts_data_gaussian *gaussian = gaussian_of(mean, covariance, D);
    must_fail(ts_density_gaussian(device, gaussian, 1, 0, N, &density), TS_INVALID, "s must be positive");
    must_fail(ts_density_gaussian(device, gaussian, NAN, 1, N, &density), TS_INVALID, "a = nan");
    must_fail(ts_density_gaussian(device, gaussian, 1, 1, 0, &density), TS_INVALID, "a batch of 0");
    must_fail(ts_data_gaussian_create(D, D + 1, &none), TS_INVALID, "rank 6 in 5 dimensions");
    ts_data_gaussian_destroy(gaussian);
    ts_device_close(device);
}

/* ---- of a run ---- */

static double *read_tensor(const char *path, const char *name, int64_t count)
{
    ts_safetensors *file;
    const ts_safetensors_info *info;
    double *values;
    must(ts_safetensors_open(path, &file));
    must(ts_safetensors_read_doubles(file, name, &values, &info));
    assert_int_equal(info->count, count);
    ts_safetensors_close(file);
    return values;
}

/* The file's covariance is that of the training images, counted one by one. */
static void test_moments_of_images(void **state)
{
    (void)state;
    enum { d = 64 };
    ts_run *run = create(FOLDER, on_digits, "data.limit=1100", false); /* more than are taken at a time */
    const int64_t count = run->dataset->train.count;
    ts_fit_result result;
    must(ts_gaussian_fit(run, NAN, NULL, &result));
    assert_false(result.reused);
    assert_true(isnan(result.loss) && result.seconds > 0 && result.steps == 0);
    double *mean = read_tensor(FOLDER FIT, "mean", d), *values = read_tensor(FOLDER FIT, "eigenvalues", d),
           *vectors = read_tensor(FOLDER FIT, "eigenvectors", d * d);
    float *x = malloc(sizeof *x * (size_t)count * d);
    must(ts_dataset_read(&run->dataset->train, 1, 0, count, x));
    for (int i = 0; i < d; i++)
        for (int j = 0; j <= i; j++) {
            double own = 0, covariance = 0, first = 0, second = 0;
            for (int64_t k = 0; k < count; k++) {
                first += (double)x[k * d + i] / (double)count;
                second += (double)x[k * d + j] / (double)count;
            }
            for (int64_t k = 0; k < count; k++)
                covariance +=
                    ((double)x[k * d + i] - first) * ((double)x[k * d + j] - second) / (double)count;
            for (int k = 0; k < d; k++)
                own += values[k] * vectors[k * d + i] * vectors[k * d + j];
            NEAR(mean[i], first, 1e-12);
            NEAR(own, covariance, 1e-12);
        }
    must(ts_gaussian_fit(run, 0.4, NULL, &result));
    assert_true(result.reused);
    double loss = 0;
    const ts_sde sde = ts_config_sde(run->config);
    const double a = ts_sde_mean(&sde, 0.4), s = ts_sde_std(&sde, 0.4);
    for (int k = 0; k < d; k++)
        loss += 0.5 * (log(2 * M_PI * (a * a * values[k] + s * s)) + 1) / d;
    NEAR(result.loss, loss, 1e-12);
    must_fail(ts_gaussian_fit(run, 1.5, NULL, NULL), TS_INVALID, "T must lie in (0, 1], not 1.5");
    free(mean);
    free(values);
    free(vectors);
    free(x);
    ts_run_close(run);
}

/* The prior term in closed form is what draws of x_T tell, each of which knows the density alone. */
static void test_prior(void **state)
{
    (void)state;
    enum { COUNT = 16 };
    ts_run *run = create(FOLDER, on_digits, NULL, false);
    const double T = 0.2;
    ts_start start;
    double closed[COUNT], drawn[COUNT], difference[COUNT];
    must(ts_start_open(run, TS_START_GAUSSIAN, T, 64, &start));
    const ts_bound_config config = {.sde = ts_config_sde(run->config),
                                    .eps = 1e-3,
                                    .T_count = 1,
                                    .T = &T,
                                    .draws = 1,
                                    .prior_draws = 400,
                                    .count = COUNT,
                                    .seed = 1};
    must(ts_bound_prior(&config, &run->dataset->test, T, start.density, closed, NULL));
    start.density->expected_log_prob = NULL;
    must(ts_bound_prior(&config, &run->dataset->test, T, start.density, drawn, NULL));
    for (int i = 0; i < COUNT; i++)
        difference[i] = drawn[i] - closed[i];
    const ts_interval mean = ts_interval_of(difference, COUNT);
    assert_true(mean.half > 0 && mean.half < 0.5);
    NEAR(mean.mean, 0, 2.5 * mean.half);
    ts_start_release(&start);
    ts_run_close(run);
}

/* One Gaussian as data: its gaussian start is the exact one; of several, mean and covariance. */
static void test_moments_of_mixtures(void **state)
{
    (void)state;
    static const char *const extras[] = {
        "data.mixture={weights: [1], means: [[0.5, -1]], stds: [[0.3, 0.2]]}",
        "data.mixture={weights: [3], means: [[0.5, -1]], covariances: [[0.5, 0.2, 0.2, 0.3]]}"};
    for (int i = 0; i < 2; i++) {
        ts_start gaussian, exact;
        double prior[64], other[64], kl[64];
        const double T = 0.3;
        ts_run *run;
        must(ts_run_create(NULL,
                           config_of((const char *const[]){"data.kind=mixture", "model.kind=exact", extras[i],
                                                           "data.mixture.count=64", "seed=3"},
                                     NULL),
                           false, &cpu, &run));
        must(ts_start_open(run, TS_START_GAUSSIAN, T, 64, &gaussian));
        must(ts_start_open(run, TS_START_MIXTURE, T, 64, &exact));
        const ts_bound_config config = {.sde = ts_config_sde(run->config),
                                        .eps = 1e-3,
                                        .T_count = 1,
                                        .T = &T,
                                        .draws = 1,
                                        .prior_draws = 4,
                                        .count = 64,
                                        .seed = 3};
        must(ts_bound_prior(&config, &run->dataset->test, T, gaussian.density, prior, kl));
        for (int k = 0; k < 64; k++)
            NEAR(kl[k], 0, 1e-6); /* the exact one's T is rounded to float32 */
        gaussian.density->expected_log_prob = NULL;
        must(ts_bound_prior(&config, &run->dataset->test, T, gaussian.density, prior, NULL));
        must(ts_bound_prior(&config, &run->dataset->test, T, exact.density, other, NULL));
        for (int k = 0; k < 64; k++)
            NEAR(prior[k], other[k], 1e-6);
        ts_start_release(&gaussian);
        ts_start_release(&exact);
        ts_run_close(run);
    }
    ts_run *run = create(FOLDER, on_mixture, NULL, false); /* halves at -1 and 1, deviations 0.3 and 0.2 */
    must(ts_gaussian_fit(run, NAN, NULL, NULL));
    double *mean = read_tensor(FOLDER FIT, "mean", 1), *value = read_tensor(FOLDER FIT, "eigenvalues", 1);
    NEAR(mean[0], 0, 1e-15);
    NEAR(value[0], 1 + 0.5 * (0.09 + 0.04), 1e-15);
    free(mean);
    free(value);
    ts_run_close(run);
}

static bool is_there(const char *path)
{
    return !access(path, F_OK);
}

/* What is opened without a file makes it, but not one of settings or data that are not the folder's own. */
static void test_first_use(void **state)
{
    (void)state;
    ts_start start;
    ts_run_close(create(FOLDER, on_digits, NULL, false));
    ts_run *run = reopen(FOLDER, "start.rank=3");
    must(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start));
    ts_start_release(&start);
    assert_false(is_there(FOLDER FIT));
    ts_run_close(run);
    run = reopen(FOLDER, NULL);
    must(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start));
    ts_start_release(&start);
    assert_true(is_there(FOLDER FIT));
    free(read_tensor(FOLDER FIT, "eigenvectors", 64 * 64));
    ts_run_close(run);
    run = reopen(FOLDER, "start.rank=3"); /* the other one's stays */
    must(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start));
    ts_start_release(&start);
    free(read_tensor(FOLDER FIT, "eigenvectors", 64 * 64));
    must(ts_gaussian_fit(run, NAN, NULL, NULL)); /* asked for, it is replaced */
    free(read_tensor(FOLDER FIT, "eigenvectors", 3 * 64));
    ts_run_close(run);
}

static void test_other_data(void **state)
{
    (void)state;
    static const char images[] = "data={kind: idx, path: " FOLDER "/data}";
    ts_fit_result result;
    ts_start start;
    write_images(FOLDER "/data", 0);
    ts_run *run = create(FOLDER "/run", on_digits, images, false);
    must(ts_gaussian_fit(run, NAN, NULL, NULL));
    ts_run_close(run);
    write_images(FOLDER "/data", 1);
    run = reopen(FOLDER "/run", NULL);
    must_fail(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start), TS_INVALID,
              "is of other data (checksum ");
    must(ts_gaussian_fit(run, NAN, NULL, &result));
    assert_false(result.reused);
    must(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start));
    ts_start_release(&start);
    ts_run_close(run);
}

/* A damaged file is no start, and the next fit puts a whole one in its place. */
static void test_damaged(void **state)
{
    (void)state;
    ts_fit_result result;
    ts_start start;
    ts_run *run = create(FOLDER, on_digits, NULL, false);
    must(ts_gaussian_fit(run, NAN, NULL, NULL));
    assert_int_equal(system("cp " FOLDER FIT " " FOLDER "/whole"), 0);
    static const struct {
        const char *from, *to, *part;
        ts_code code;
    } damages[] = {
        {"\"tstar-gaussian\"", "\"tstar-gauszian\"", "not the gaussian of a run's data", TS_FORMAT},
        {"\"mean\"", "\"maen\"", "tensor mean is missing", TS_INVALID},
        {"\"eigenvalues\"", "\"eigenvalmes\"", "tensor eigenvalues is missing", TS_INVALID}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        copy_edited(FOLDER "/whole", FOLDER FIT, damages[i].from, damages[i].to);
        must_fail(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start), damages[i].code, damages[i].part);
        must(ts_gaussian_fit(run, NAN, NULL, &result));
        assert_false(result.reused);
    }
    /* numbers that are none of a covariance: the last eigenvector's last */
    assert_int_equal(system("cp " FOLDER "/whole " FOLDER FIT " && printf '\\0\\0\\0\\0\\0\\0\\360\\077' | "
                            "dd of=" FOLDER FIT " bs=1 conv=notrunc status=none "
                            "seek=$(($(stat -c %s " FOLDER FIT ") - 8))"),
                     0);
    must_fail(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start), TS_FORMAT, "are of no covariance");
    assert_int_equal(system("head -c 1000 " FOLDER "/whole > " FOLDER FIT), 0);
    must_fail(ts_start_open(run, TS_START_GAUSSIAN, 0.4, 2, &start), TS_FORMAT, FOLDER FIT);
    ts_run_close(run);
    run = create(NULL, on_digits, NULL, false);
    must_fail(ts_gaussian_fit(run, NAN, NULL, NULL), TS_INVALID, "needs a run directory");
    ts_run_close(run);
}

/* ---- those of a sweep ---- */

static void test_chosen(void **state)
{
    (void)state;
    ts_start_kind kinds[TS_START_COUNT];
    int count;
    ts_run *run = create(FOLDER, on_digits, "sweep.starts=[glow, gaussian]", false);
    must(ts_starts_chosen(run, &run->config->sweep.starts, kinds, &count));
    assert_int_equal(count, 2);
    assert_true(kinds[0] == TS_START_GLOW && kinds[1] == TS_START_GAUSSIAN);
    must(ts_starts_chosen(run, &(ts_kinds){0}, kinds, &count));
    assert_int_equal(count, 5); /* all but the exact one */
    assert_true(kinds[0] == TS_START_NORMAL && kinds[1] == TS_START_GAUSSIAN);
    assert_true(kinds[2] == TS_START_DPMIXTURE && kinds[3] == TS_START_GLOW);
    assert_true(kinds[4] == TS_START_GLOW_ALL);
    must_fail(ts_starts_chosen(run, &(ts_kinds){1, (unsigned[]){TS_START_MIXTURE}}, kinds, &count),
              TS_INVALID, "start density mixture needs data.kind mixture");
    ts_run_close(run);
}

/* A reader can tell all of them apart, by colour as by shape. */
static void test_told_apart(void **state)
{
    (void)state;
    for (int i = 0; i < TS_START_COUNT; i++)
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(ts_starts[i].color, ts_starts[j].color);
            assert_string_not_equal(ts_starts[i].html, ts_starts[j].html);
            assert_string_not_equal(ts_starts[i].label, ts_starts[j].label);
            assert_int_not_equal(ts_starts[i].point, ts_starts[j].point);
            assert_int_not_equal(ts_starts[i].hollow, ts_starts[j].hollow);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_density),
        cmocka_unit_test(test_low_rank),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_moments_of_images, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_prior, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_moments_of_mixtures, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_first_use, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_other_data, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_damaged, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_chosen, start_clean, start_clean),
        cmocka_unit_test(test_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
