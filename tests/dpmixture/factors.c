/*
 * Mixtures of factor analysers: their evidence bound against dense algebra, what they find, that they are carried to
 * any T as dense covariances are, and their file.
 */
#include "dpmixture_test.h"

enum { D = 20, K = 3, RANK = 2 };

/* A mixture of K factor analysers in D dimensions. */
typedef struct analysers {
    double weights[K], means[K * D], factors[K * RANK * D], noise[K * D];
} analysers;

static void make(analysers *m, double noise)
{
    uint64_t state = 11;
    for (int k = 0; k < K; k++)
        m->weights[k] = (double)(k + 1) / (K * (K + 1) / 2);
    for (int i = 0; i < K * D; i++) {
        m->means[i] = 1.5 * normal(&state);
        m->noise[i] = noise * (0.5 + uniform(&state));
    }
    for (int i = 0; i < K * RANK * D; i++)
        m->factors[i] = 0.8 * normal(&state);
}

/* x [n,D] drawn from it. */
static double *draw(const analysers *m, int n, uint64_t *state)
{
    double *x = calloc((size_t)n * D, sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < n; i++) {
        const double u = uniform(state);
        const int k = u < m->weights[0] ? 0 : u < m->weights[0] + m->weights[1] ? 1 : 2;
        double y[RANK];
        for (int r = 0; r < RANK; r++)
            y[r] = normal(state);
        for (int j = 0; j < D; j++) {
            x[i * D + j] = m->means[k * D + j] + sqrt(m->noise[k * D + j]) * normal(state);
            for (int r = 0; r < RANK; r++)
                x[i * D + j] += y[r] * m->factors[(k * RANK + r) * D + j];
        }
    }
    return x;
}

/* c [d,d] <- F^T F + Psi of one component. */
static void dense(int d, int rank, const double *factors, const double *noise, double *c)
{
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++) {
            c[i * d + j] = i == j ? noise[i] : 0;
            for (int r = 0; r < rank; r++)
                c[i * d + j] += factors[r * d + i] * factors[r * d + j];
        }
}

/* ln N(x; mean, c) by elimination; *trace gets that of c^-1. */
static double normal_log_density(int d, const double *c, const double *x, const double *mean, double *trace)
{
    double m[D * D], b[D][D + 1], log_prob = 0;
    memcpy(m, c, sizeof(double) * (size_t)(d * d));
    for (int i = 0; i < d; i++) {
        for (int j = 0; j < d; j++)
            b[i][j] = i == j;
        b[i][d] = x[i] - mean[i];
    }
    for (int p = 0; p < d; p++) {
        log_prob -= 0.5 * log(2 * M_PI * m[p * d + p]);
        for (int i = 0; i < d; i++) {
            const double f = m[i * d + p] / m[p * d + p];
            for (int j = 0; i != p && j < d; j++)
                m[i * d + j] -= f * m[p * d + j];
            for (int j = 0; i != p && j <= d; j++)
                b[i][j] -= f * b[p][j];
        }
    }
    *trace = 0;
    for (int i = 0; i < d; i++) {
        log_prob -= 0.5 * (x[i] - mean[i]) * b[i][d] / m[i * d + i];
        *trace += b[i][i] / m[i * d + i];
    }
    return log_prob;
}

/*
 * Of one component the bound is what the points' density says at the component that was found, times the density of
 * the mean's and the precisions' priors and the probability that all points take the first stick.
 */
void test_factor_bound(void **state)
{
    (void)state;
    enum { n = 60, d = 5, rank = 2 };
    double *x = points(n, d, 2, 1.5), mean[d] = {0}, c[d * d], trace;
    ts_dpmixture fit;
    for (int blurred = 0; blurred < 2; blurred++) {
        ts_dpmixture_config config = settings(1);
        config.factors = rank;
        config.floor = blurred ? 0.05 : 1e-6;
        must(ts_dpmixture_fit(x, n, d, &config, &fit));
        assert_true(fit.converged && fit.rank == rank);
        memset(mean, 0, sizeof mean);
        for (int i = 0; i < n * d; i++)
            mean[i % d] += x[i] / n;
        dense(d, rank, fit.factors, fit.covariances, c);
        double wanted =
            lgamma(1 + n) + lgamma(1 + config.concentration) - lgamma(1 + n + config.concentration);
        for (int i = 0; i < n; i++)
            wanted += normal_log_density(d, c, x + i * d, fit.means, &trace) - 0.5 * config.floor * trace;
        wanted += normal_log_density(d, c, mean, fit.means, &trace);
        for (int j = 0; j < d; j++) {
            double variance = config.floor;
            for (int i = 0; i < n; i++)
                variance += (x[i * d + j] - mean[j]) * (x[i * d + j] - mean[j]) / (n - 1);
            const double half = 0.5 * variance / fit.covariances[j]; /* Gamma(1/2) in the logarithm */
            wanted += 0.5 * log(half) - half - lgamma(0.5);
            assert_true(fit.covariances[j] >= config.floor);
        }
        NEAR(fit.bound[fit.iterations], wanted, 1e-9 * fabs(wanted));
        ts_dpmixture_release(&fit);
    }
    ts_dpmixture_config config = settings(1);
    config.factors = d + 1;
    must_fail(ts_dpmixture_fit(x, n, d, &config, &fit), TS_INVALID, "in 5 dimensions");
    free(x);
}

/* log_prob [n] of x [n,D] at T (0: the data), on the device, and the score's net where it is asked for. */
static void evaluate(ts_device *device, const ts_mixture *mixture, double T, int n, const double *x,
                     double *log_prob, float *net)
{
    float *host = malloc(sizeof *host * (size_t)n * D);
    void *points, *values;
    ts_density *density;
    ts_score *score;
    for (int i = 0; i < n * D; i++)
        host[i] = (float)x[i];
    const size_t bytes = sizeof *host * (size_t)n * D;
    must(device->k->allocate(device, bytes, &points));
    must(device->k->allocate(device, sizeof *log_prob * (size_t)n, &values));
    must(device->k->upload(device, points, host, bytes));
    must(ts_density_mixture(mixture, &vp, T, n, &density));
    must(density->log_prob(density, points, values));
    must(device->k->download(device, log_prob, values, sizeof *log_prob * (size_t)n));
    ts_density_destroy(density);
    if (net) {
        const float *out;
        float *t = malloc(sizeof *t * (size_t)n);
        void *times;
        for (int i = 0; i < n; i++)
            t[i] = (float)T;
        must(device->k->allocate(device, sizeof *t * (size_t)n, &times));
        must(device->k->upload(device, times, t, sizeof *t * (size_t)n));
        must(ts_score_mixture(mixture, &vp, n, &score));
        must(score->evaluate(score, points, times, &out));
        must(device->k->download(device, net, out, bytes));
        ts_score_destroy(score);
        device->k->release(device, times);
        free(t);
    }
    device->k->release(device, points);
    device->k->release(device, values);
    free(host);
}

static ts_device *open_device(void)
{
    ts_device *device;
    must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    return device;
}

static ts_mixture *mixture_of(ts_device *device, const analysers *m)
{
    ts_mixture *mixture;
    must(ts_mixture_create_factors(device, K, D, RANK, m->weights, m->means, m->factors, m->noise, &mixture));
    return mixture;
}

/* Fitted to draws from a known mixture, it gives held-out ones the density that the true one does, within what their
 * number leaves open. */
void test_factors_found(void **state)
{
    (void)state;
    enum { n = 3000, tests = 2000 };
    uint64_t seed = 5;
    analysers truth;
    make(&truth, 0.2);
    double *x = draw(&truth, n, &seed), *held_out = draw(&truth, tests, &seed);
    double *want = malloc(sizeof *want * tests), *got = malloc(sizeof *got * tests);
    ts_dpmixture fit;
    ts_device *device = open_device();
    ts_mixture *exact = mixture_of(device, &truth), *found;
    ts_dpmixture_config config = settings(6);
    config.factors = RANK;
    config.tolerance = 1e-5;
    must(ts_dpmixture_fit(x, n, D, &config, &fit));
    assert_true(fit.converged && fit.weights[K - 1] > 0.1 && fit.weights[K] < 0.01);
    must(ts_mixture_create_factors(device, fit.k, D, RANK, fit.weights, fit.means, fit.factors,
                                   fit.covariances, &found));
    evaluate(device, exact, 0, tests, held_out, want, NULL);
    evaluate(device, found, 0, tests, held_out, got, NULL);
    const ts_interval true_mean = ts_interval_of(want, tests), fit_mean = ts_interval_of(got, tests);
    NEAR(fit_mean.mean, true_mean.mean, true_mean.half);
    ts_mixture_destroy(exact);
    ts_mixture_destroy(found);
    ts_dpmixture_release(&fit);
    ts_device_close(device);
    free(x);
    free(held_out);
    free(want);
    free(got);
}

void test_factor_threads(void **state)
{
    (void)state;
    enum { n = 500, d = 4, k = 5, rank = 2 };
    double *x = points(n, d, 3, 2);
    ts_dpmixture one, three;
    ts_dpmixture_config config = settings(k);
    config.factors = rank;
    must(ts_dpmixture_fit(x, n, d, &config, &one));
    config.threads = 3;
    must(ts_dpmixture_fit(x, n, d, &config, &three));
    assert_int_equal(one.iterations, three.iterations);
    assert_memory_equal(one.bound, three.bound, sizeof(double) * (size_t)(one.iterations + 1));
    assert_memory_equal(one.factors, three.factors, sizeof(double) * k * rank * d);
    ts_dpmixture_release(&one);
    ts_dpmixture_release(&three);
    free(x);
}

/* At any T density and score are those of the dense covariances. */
void test_factors_carried(void **state)
{
    (void)state;
    enum { n = 40 };
    static const double times[] = {1e-5, 0.05, 0.2, 0.6, 1};
    uint64_t seed = 9;
    analysers m;
    double want[n], got[n], covariances[K * D * D];
    float want_net[n * D], net[n * D];
    make(&m, 1e-3);
    ts_device *device = open_device();
    ts_mixture *factors = mixture_of(device, &m), *full;
    for (int k = 0; k < K; k++)
        dense(D, RANK, m.factors + k * RANK * D, m.noise + k * D, covariances + k * D * D);
    must(ts_mixture_create(device, K, D, m.weights, m.means, NULL, covariances, &full));
    double *x = draw(&m, n, &seed);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        double largest = 0;
        evaluate(device, full, times[i], n, x, want, want_net);
        evaluate(device, factors, times[i], n, x, got, net);
        for (int j = 0; j < n; j++)
            NEAR(got[j], want[j], 1e-5);
        for (int j = 0; j < n * D; j++)
            largest = fmax(largest, fabs((double)want_net[j]));
        for (int j = 0; j < n * D; j++)
            NEAR((double)net[j], (double)want_net[j], 1e-5 * largest);
    }
    ts_mixture_destroy(factors);
    ts_mixture_destroy(full);
    m.noise[1] = 0;
    must_fail(ts_mixture_create_factors(device, K, D, RANK, m.weights, m.means, m.factors, m.noise, &full),
              TS_INVALID, "component 0 has variance 0");
    m.noise[1] = 1;
    m.factors[RANK * D] = NAN;
    must_fail(ts_mixture_create_factors(device, K, D, RANK, m.weights, m.means, m.factors, m.noise, &full),
              TS_INVALID, "a factor of component 1 is not finite");
    must_fail(ts_mixture_create_factors(device, K, D, D + 1, m.weights, m.means, m.factors, m.noise, &full),
              TS_INVALID, "21 factors in 20 dimensions");
    ts_device_close(device);
    free(x);
}

/* Mean and covariance of draws at T = 0.3, within five standard errors. */
void test_factor_draws(void **state)
{
    (void)state;
    enum { n = 6000 };
    const double T = 0.3, a = ts_sde_mean(&vp, T), s = ts_sde_std(&vp, T);
    analysers m;
    double mean[D] = {0}, covariance[D * D] = {0}, c[D * D];
    make(&m, 0.2);
    ts_device *device = open_device();
    ts_mixture *mixture = mixture_of(device, &m);
    ts_density *density;
    float *x = malloc(sizeof *x * n * D);
    const ts_step_state host = {.seed = 4};
    void *draws, *step;
    must(device->k->allocate(device, sizeof *x * n * D, &draws));
    must(device->k->allocate(device, sizeof host, &step));
    must(device->k->upload(device, step, &host, sizeof host));
    must(ts_density_mixture(mixture, &vp, T, n, &density));
    must(density->sample(density, step, draws));
    must(device->k->download(device, x, draws, sizeof *x * n * D));
    for (int k = 0; k < K; k++)
        for (int j = 0; j < D; j++)
            mean[j] += m.weights[k] * a * m.means[k * D + j];
    for (int k = 0; k < K; k++) {
        dense(D, RANK, m.factors + k * RANK * D, m.noise + k * D, c);
        for (int i = 0; i < D; i++)
            for (int j = 0; j < D; j++)
                covariance[i * D + j] +=
                    m.weights[k] * (a * a * c[i * D + j] + (i == j) * s * s +
                                    (a * m.means[k * D + i] - mean[i]) * (a * m.means[k * D + j] - mean[j]));
    }
    for (int i = 0; i < D; i++) {
        double sum = 0;
        for (int r = 0; r < n; r++)
            sum += (double)x[r * D + i] / n;
        NEAR(sum, mean[i], 5 * sqrt(covariance[i * D + i] / n));
        for (int j = 0; j <= i; j++) {
            double product = 0, square = 0;
            for (int r = 0; r < n; r++) {
                const double p = ((double)x[r * D + i] - mean[i]) * ((double)x[r * D + j] - mean[j]);
                product += p / n;
                square += p * p / n;
            }
            NEAR(product, covariance[i * D + j], 5 * sqrt((square - product * product) / n));
        }
    }
    ts_density_destroy(density);
    ts_mixture_destroy(mixture);
    device->k->release(device, draws);
    device->k->release(device, step);
    ts_device_close(device);
    free(x);
}

/* ---- of a run ---- */

/* On the digits: better than one Gaussian, read back as what it is, refused where it is damaged. */
void test_factor_file(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
        ts_code code;
    } damages[] = {{"\"variances\"", "\"varianses\"", "factors must be 1 to 64", TS_FORMAT},
                   {"[5,4,64]", "[4,5,64]", "factors", TS_INVALID},
                   {"\"means\"", "\"maens\"", "tensor means is missing", TS_INVALID}};
    ts_run *run = create(FOLDER, on_digits, "start={covariance: factor, components: 5, factors: 4}", false);
    ts_fit_result result;
    ts_start start;
    ts_interval gaussian, mixture;
    must(ts_dpmixture_fit_run(run, NAN, NULL, &result));
    assert_true(!result.reused && result.steps > 1 && isfinite(result.loss));
    prior_of(run, TS_START_GAUSSIAN, 0.2, &gaussian, NULL);
    prior_of(run, TS_START_DPMIXTURE, 0.2, &mixture, NULL);
    assert_true(mixture.mean < 0.95 * gaussian.mean);
    ts_run_close(run);
    run = reopen(FOLDER, "start.covariance=full"); /* what is stored is what starts */
    prior_of(run, TS_START_DPMIXTURE, 0.2, &gaussian, NULL);
    assert_true(gaussian.mean == mixture.mean);
    assert_int_equal(system("cp " FOLDER FIT " " FOLDER "/whole"), 0);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        copy_edited(FOLDER "/whole", FOLDER FIT, damages[i].from, damages[i].to);
        must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 2, &start), damages[i].code, damages[i].says);
    }
    ts_run_close(run);
}

/* IDX files of 48 training and 16 held-out images [20,20] in which a wave lies anywhere. */
static void write_waves(const char *folder)
{
    enum { SIDE = 20 };
    static const struct {
        const char *name;
        int count;
    } files[] = {{"train", 48}, {"t10k", 16}};
    uint64_t seed = 2;
    must(ts_file_make_folder(folder));
    for (int f = 0; f < 2; f++) {
        uint8_t content[16 + 48 * SIDE * SIDE] = {0, 0, 8, 3,    0, 0, 0, (uint8_t)files[f].count,
                                                  0, 0, 0, SIDE, 0, 0, 0, SIDE};
        char path[128];
        for (int i = 0; i < files[f].count; i++) {
            const double phase = 2 * M_PI * uniform(&seed);
            for (int j = 0; j < SIDE * SIDE; j++)
                content[16 + i * SIDE * SIDE + j] =
                    (uint8_t)(128 + 80 * sin(phase + 0.3 * j) + 8 * uniform(&seed));
        }
        snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, files[f].name);
        must(ts_file_write(path, content, 16 + (size_t)(files[f].count * SIDE * SIDE)));
    }
}

/* A start of images that are too large for full covariances: factors unless told otherwise. */
void test_many_dimensions(void **state)
{
    (void)state;
    static const char images[] = "data={kind: idx, path: " FOLDER "/data}";
    ts_start_kind kinds[TS_START_COUNT];
    ts_interval normal_start, mixture;
    write_waves(FOLDER "/data");
    ts_run *run = create(FOLDER "/run", on_digits, images, false);
    assert_int_equal(ts_starts_of(run, kinds), 5); /* all but the exact mixture */
    run->config->start.components = 3;
    run->config->start.factors = 2;
    run->config->start.floor = 1e-3;
    must(ts_dpmixture_fit_run(run, NAN, NULL, NULL));
    prior_of(run, TS_START_NORMAL, 0.3, &normal_start, NULL);
    prior_of(run, TS_START_DPMIXTURE, 0.3, &mixture, NULL);
    assert_true(mixture.mean < 0.5 * normal_start.mean);
    run->config->start.covariance = TS_COVARIANCE_FULL;
    must_fail(
        ts_dpmixture_check(run), TS_INVALID,
        "full covariances for at most 256 dimensions, and these data have 400; start.covariance factor or "
        "diagonal takes any");
    assert_int_equal(ts_starts_of(run, kinds), 4);
    run->config->start.covariance = TS_COVARIANCE_DIAGONAL;
    must(ts_dpmixture_check(run));
    ts_run_close(run);
}
