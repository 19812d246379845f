/*
 * The bound against what exact mixtures say it must be.  With the exact score and start it is tight on
 * E log p_eps at every T; with a normal start it is short by KL(p_T || nu); K(T) is the mutual information
 * that is lost between eps and T.  The truths come from quadrature in double precision here and, where it is
 * present, from an independent table (gmm_oracle.json).
 *
 * To add a case, choose a mixture and its truth by quadrature or closed form (oracle.h), and list the test
 * in main.
 */
#include <jansson.h>
#include <stdio.h>
#include "diffusion/bound.h"
#include "oracle.h"
#include "parts.h"

/* ---- truths on the line by quadrature ---- */

typedef struct truth {
    double entropy;     /* H(p_t) */
    double kl;          /* KL(p_t || N(0, sigma^2)) */
    double fisher;      /* J(p_t) = E (d log p_t / dx)^2 */
    double information; /* MI(x0; x_t) */
} truth;

/* The trapezoidal rule, which on a smooth integrand that vanishes at both ends converges exponentially; the
 * step is a twentieth of the narrowest component. */
static truth quadrature(const ts_sde *sde, double t, double sigma)
{
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    const double h = sqrt(0.01 * a * a + s * s) / 20, reach = 1.5 * a + 12 * sqrt(0.0625 * a * a + s * s);
    truth q = {0};
    for (double x = -reach; x <= reach; x += h) {
        double derivative;
        const double p = line_density(sde, t, x, &derivative);
        if (p < 1e-300)
            continue;
        q.entropy -= h * p * log(p);
        q.kl += h * p * (log(p) + 0.5 * x * x / (sigma * sigma) + 0.5 * log(2 * M_PI * sigma * sigma));
        q.fisher += h * derivative * derivative / p;
    }
    q.information = q.entropy - 0.5 * log(2 * M_PI * M_E * s * s);
    return q;
}

/* K(T) = 1/2 int g^2 (1/s^2 - J) dt = 1/2 int (1 - s^2 J) dLambda, by Simpson's rule. */
static double integrated_K(const ts_sde *sde, double T)
{
    const int steps = 600;
    const double low = ts_sde_lambda(sde, EPS), h = (ts_sde_lambda(sde, T) - low) / steps;
    double sum = 0;
    for (int i = 0; i <= steps; i++) {
        const double t = ts_sde_lambda_inverse(sde, low + i * h), s = ts_sde_std(sde, t);
        const double value = 1 - s * s * quadrature(sde, t, 1).fisher;
        sum += value * (i == 0 || i == steps ? 1 : i % 2 ? 4 : 2);
    }
    return 0.5 * sum * h / 3;
}

static double sigma_at(const ts_sde *sde, double T)
{
    return sde->kind == TS_SDE_VE ? ts_sde_std(sde, T) : 1.0;
}

static void quadrature_is_consistent(void **state)
{
    (void)state;
    const ts_sde *const sdes[] = {&vp, &subvp, &ve};
    for (int i = 0; i < 3; i++) {
        const double drop = quadrature(sdes[i], EPS, 1).information - quadrature(sdes[i], 0.5, 1).information;
        NEAR(integrated_K(sdes[i], 0.5), drop, 1e-7);
    }
}

static void quadrature_equals_the_table(void **state)
{
    (void)state;
    const char *folder = getenv("TSTAR_GOLDEN");
    char path[1024];
    snprintf(path, sizeof path, "%s/gmm_oracle.json", folder ? folder : TSTAR_GOLDEN);
    json_t *root = json_load_file(path, 0, NULL);
    if (!root) {
        print_message("gmm_oracle.json is not here (TSTAR_GOLDEN): comparison with it skipped\n");
        skip();
    }
    json_t *mixture = json_array_get(json_object_get(root, "shared"), 0), *row;
    json_t *rows = json_object_get(mixture, "rows");
    const double at_eps = quadrature(&vp, EPS, 1).information;
    size_t i;
    NEAR(quadrature(&vp, EPS, 1).entropy, json_number_value(json_object_get(mixture, "entropy_peps")), 1e-10);
    assert_int_equal(json_array_size(rows), 8);
    json_array_foreach(rows, i, row)
    {
        const truth q = quadrature(&vp, json_number_value(json_object_get(row, "T")), 1);
        NEAR(q.entropy, json_number_value(json_object_get(row, "entropy_pT")), 1e-10);
        NEAR(q.kl, json_number_value(json_object_get(row, "kl_pT_normal")), 1e-10);
        NEAR(at_eps - q.information, json_number_value(json_object_get(row, "K")), 1e-10);
    }
    json_decref(root);
}

/* ---- measuring ---- */

enum { MAX_T = 8 };

/* Everything the bound says of one mixture at one list of T. */
typedef struct measured {
    ts_bound_terms exact[MAX_T], normal[MAX_T];
    ts_interval K[MAX_T], kl[MAX_T], I[MAX_T];
} measured;

typedef struct rig {
    ts_device *device;
    ts_sde sde;
    ts_mixture *mixture;
    ts_data data;
    ts_score *score;
    int T_count;
    const double *T;
    ts_density *exact[MAX_T], *normal[MAX_T];
} rig;

static rig rig_open(const ts_sde *sde, ts_device *device, ts_mixture *mixture, int n, const double *T,
                    int T_count)
{
    rig r = {.device = device, .sde = *sde, .mixture = mixture, .T_count = T_count, .T = T};
    r.data = (ts_data){.device = device, .h = 1, .w = 1, .c = mixture->d, .mixture = mixture};
    must(ts_score_mixture(mixture, sde, n, &r.score));
    for (int i = 0; i < T_count; i++) {
        must(ts_density_mixture(mixture, sde, T[i], n, &r.exact[i]));
        must(ts_density_normal(device, n, mixture->d, sigma_at(sde, T[i]), &r.normal[i]));
    }
    return r;
}

static void rig_close(rig *r)
{
    for (int i = 0; i < r->T_count; i++) {
        ts_density_destroy(r->exact[i]);
        ts_density_destroy(r->normal[i]);
    }
    ts_score_destroy(r->score);
    ts_mixture_destroy(r->mixture);
    ts_device_close(r->device);
}

static ts_bound_config config_of(const rig *r, int64_t count, int draws, uint64_t seed)
{
    const ts_bound_config config = {.sde = r->sde,
                                    .eps = EPS,
                                    .T_count = r->T_count,
                                    .T = r->T,
                                    .draws = draws,
                                    .prior_draws = draws,
                                    .count = count,
                                    .seed = seed,
                                    .tracks_K = true};
    return config;
}

static ts_interval column(const double *values, int64_t count, int columns, int j, double *room)
{
    for (int64_t i = 0; i < count; i++)
        room[i] = values[i * columns + j];
    return ts_interval_of(room, count);
}

static measured measure(rig *r, int64_t count, int draws, uint64_t seed)
{
    const ts_bound_config config = config_of(r, count, draws, seed);
    double *prior = malloc((size_t)count * sizeof *prior), *kl = malloc((size_t)count * sizeof *kl);
    measured m;
    ts_bound bound;
    assert_true(prior && kl);
    must(ts_bound_measure(&config, &r->data, r->score, NULL, NULL, &bound));
    /* one exact score twice: I and K are the same numbers */
    assert_memory_equal(bound.diffusion, bound.K, (size_t)count * (size_t)r->T_count * sizeof *bound.K);
    for (int i = 0; i < r->T_count; i++) {
        m.K[i] = column(bound.K, count, r->T_count, i, kl);
        must(ts_bound_prior(&config, &r->data, r->T[i], r->exact[i], prior, kl));
        ts_bound_combine(&bound, i, r->T[i], prior, r->mixture->d, &m.exact[i]);
        for (int64_t j = 0; j < count; j++)
            assert_true(fabs(kl[j]) < 1e-12);
        must(ts_bound_prior(&config, &r->data, r->T[i], r->normal[i], prior, kl));
        ts_bound_combine(&bound, i, r->T[i], prior, r->mixture->d, &m.normal[i]);
        m.kl[i] = ts_interval_of(kl, count);
    }
    ts_bound_release(&bound);
    free(prior);
    free(kl);
    return m;
}

/* Within two half-widths, 3.9 standard errors; how often one half-width holds is tested below. */
static void check_interval(const char *what, double T, ts_interval value, double wanted)
{
    print_message("  T %.2f  %-12s %+.5f +- %.5f, exactly %+.5f\n", T, what, value.mean, value.half, wanted);
    assert_true(isfinite(value.mean) && value.half >= 0);
    NEAR(value.mean, wanted, 2 * value.half);
}

/* ---- the identities ---- */

static void check_line(const ts_sde *sde, const double *T, int T_count, int64_t count, int draws)
{
    ts_device *device = open_cpu();
    rig r = rig_open(sde, device, line_mixture(device), 512, T, T_count);
    const measured m = measure(&r, count, draws, 1);
    const truth at_eps = quadrature(sde, EPS, 1);
    for (int i = 0; i < T_count; i++) {
        const truth q = quadrature(sde, T[i], sigma_at(sde, T[i]));
        check_interval("exact start", T[i], m.exact[i].elbo, -at_eps.entropy);
        check_interval("normal start", T[i], m.normal[i].elbo, -at_eps.entropy - q.kl);
        check_interval("K", T[i], m.K[i], at_eps.information - q.information);
        check_interval("KL", T[i], m.kl[i], q.kl);
        NEAR(m.exact[i].bpd.mean, -m.exact[i].elbo.mean / log(2), 1e-12);
        NEAR(m.exact[i].elbo.mean,
             m.exact[i].reconstruction.mean - m.exact[i].prior.mean - m.exact[i].diffusion.mean, 1e-10);
    }
    /* sharp enough to tell: at the smallest T the gap of the normal start stands out of the interval */
    assert_true(m.exact[T_count - 1].elbo.half < 0.1);
    rig_close(&r);
}

static void tight_under_vp(void **state)
{
    (void)state;
    static const double T[] = {1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05};
    check_line(&vp, T, 8, 4000, 16);
}

static void tight_under_subvp(void **state)
{
    (void)state;
    static const double T[] = {1.0, 0.4, 0.2};
    check_line(&subvp, T, 3, 6000, 24);
}

static void tight_under_ve(void **state)
{
    (void)state;
    static const double T[] = {1.0, 0.6, 0.3};
    check_line(&ve, T, 3, 6000, 24);
}

/* E log p_eps(x_eps) in any dimension, by the exact log-density on `count` draws. */
static ts_interval expected_log_density(const rig *r, int count)
{
    const size_t elements = (size_t)count * (size_t)r->mixture->d;
    const ts_step_state state = {99, 0, 0};
    double *host = malloc((size_t)count * sizeof *host);
    float *times = malloc((size_t)count * sizeof *times);
    void *x, *t, *values, *device_state;
    const ts_kernels *k = r->device->k;
    assert_true(host && times);
    for (int i = 0; i < count; i++)
        times[i] = (float)EPS;
    must(k->allocate(r->device, elements * sizeof(float), &x));
    must(k->allocate(r->device, (size_t)count * sizeof(float), &t));
    must(k->allocate(r->device, (size_t)count * sizeof(double), &values));
    must(k->allocate(r->device, sizeof state, &device_state));
    must(k->upload(r->device, device_state, &state, sizeof state));
    must(k->upload(r->device, t, times, (size_t)count * sizeof *times));
    const ts_mixture_sample s = {count, 0, r->sde, EPS, r->mixture->view, device_state, TS_STREAM_TEST, x};
    const ts_mixture_evaluate e = {
        .n = count, .sde = r->sde, .mixture = r->mixture->view, .x = x, .t = t, .log_prob = values};
    must(k->mixture_sample(r->device, &s));
    must(k->mixture_evaluate(r->device, &e));
    must(k->download(r->device, host, values, (size_t)count * sizeof *host));
    const ts_interval interval = ts_interval_of(host, count);
    k->release(r->device, x);
    k->release(r->device, t);
    k->release(r->device, values);
    k->release(r->device, device_state);
    free(host);
    free(times);
    return interval;
}

static void check_dimensions(ts_device *device, ts_mixture *mixture)
{
    static const double T[] = {1.0, 0.6, 0.4, 0.2, 0.1};
    rig r = rig_open(&vp, device, mixture, 512, T, 5);
    const ts_interval truth_interval = expected_log_density(&r, 200000);
    const measured m = measure(&r, 4000, 16, 3);
    for (int i = 0; i < 5; i++) {
        ts_interval elbo = m.exact[i].elbo, normal = m.normal[i].elbo;
        elbo.half = hypot(elbo.half, truth_interval.half);
        check_interval("exact start", T[i], elbo, truth_interval.mean);
        normal.half = hypot(hypot(normal.half, m.kl[i].half), truth_interval.half);
        check_interval("normal start", T[i], normal, truth_interval.mean - m.kl[i].mean);
    }
    rig_close(&r);
}

static void tight_with_full_covariances(void **state)
{
    (void)state;
    const double weights[] = {0.6, 0.4}, means[] = {-0.8, 0.3, 0.9, -0.5};
    const double covariances[] = {0.2, 0.1, 0.1, 0.15, 0.3, -0.2, -0.2, 0.4};
    ts_device *device = open_cpu();
    ts_mixture *mixture;
    must(ts_mixture_create(device, 2, 2, weights, means, NULL, covariances, &mixture));
    check_dimensions(device, mixture);
}

static void tight_in_five_dimensions(void **state)
{
    (void)state;
    const double weights[] = {0.2, 0.5, 0.3};
    double means[15], stds[15];
    for (int i = 0; i < 15; i++) {
        means[i] = sin(1.7 * i);
        stds[i] = 0.1 + 0.3 * pow(cos(2.3 * i), 2);
    }
    ts_device *device = open_cpu();
    ts_mixture *mixture;
    must(ts_mixture_create(device, 3, 5, weights, means, stds, NULL, &mixture));
    check_dimensions(device, mixture);
}

/* ---- data on levels ----
 *
 * A few of 65 levels with known frequencies: p_t is a mixture of Gaussians at the levels, and with its exact
 * score and start the bound is E log p(x0|x_eps) - MI(x0; x_eps) at every T, both by quadrature.
 */

const int used_levels[USED] = {10, 11, 12, 30, 50};
const int level_counts[USED] = {100, 40, 60, 120, 80};

double level_value(int k)
{
    return -1 + 2.0 * k / (LEVELS - 1);
}

double level_bound(void)
{
    const double a = ts_sde_mean(&vp, EPS), s = ts_sde_std(&vp, EPS), h = s / 40;
    double bound = 0.5 * log(2 * M_PI * M_E * s * s);
    for (double x = -1.2; x < 1.2; x += h) {
        double p = 0, all = 0, joint[USED];
        for (int k = 0; k < LEVELS; k++)
            all += exp(-0.5 * pow((x - a * level_value(k)) / s, 2));
        for (int u = 0; u < USED; u++) {
            joint[u] = exp(-0.5 * pow((x - a * level_value(used_levels[u])) / s, 2));
            p += level_counts[u] / (double)EXAMPLES * joint[u] / (s * sqrt(2 * M_PI));
        }
        for (int u = 0; u < USED; u++)
            if (joint[u] > 0)
                bound += h * level_counts[u] / (double)EXAMPLES * joint[u] / (s * sqrt(2 * M_PI)) *
                         log(joint[u] / all);
        if (p > 0)
            bound += h * p * log(p);
    }
    return bound;
}

static void tight_on_levels(void **state)
{
    (void)state;
    static const double T[] = {1.0, 0.4, 0.1};
    double weights[USED], means[USED], stds[USED], prior[EXAMPLES];
    unsigned char bytes[EXAMPLES];
    void *memory;
    ts_mixture *mixture;
    ts_device *device = open_cpu();
    for (int u = 0, i = 0; u < USED; u++) {
        weights[u] = level_counts[u];
        means[u] = level_value(used_levels[u]);
        stds[u] = 1e-7;
        for (int j = 0; j < level_counts[u]; j++)
            bytes[i++] = (unsigned char)used_levels[u];
    }
    must(ts_mixture_create(device, USED, 1, weights, means, stds, NULL, &mixture));
    rig r = rig_open(&vp, device, mixture, 300, T, 3);
    must(device->k->allocate(device, EXAMPLES, &memory));
    must(device->k->upload(device, memory, bytes, EXAMPLES));
    const ts_data data = {
        .device = device, .h = 1, .w = 1, .c = 1, .count = EXAMPLES, .levels = LEVELS, .bytes = memory};
    ts_bound_config config = config_of(&r, EXAMPLES, 64, 1);
    ts_bound bound;
    ts_bound_terms terms;
    config.tracks_K = false;
    must(ts_bound_measure(&config, &data, r.score, NULL, NULL, &bound));
    assert_null(bound.K);
    for (int i = 0; i < 3; i++) {
        must(ts_bound_prior(&config, &data, T[i], r.exact[i], prior, NULL));
        ts_bound_combine(&bound, i, T[i], prior, 1, &terms);
        check_interval("levels", T[i], terms.elbo, level_bound());
    }
    ts_bound_release(&bound);
    device->k->release(device, memory);
    rig_close(&r);
}

/* ---- what is refused ---- */

static bool stop(void *context, double share)
{
    *(double *)context = share;
    return false;
}

static ts_status not_a_number(ts_score *score, const float *x, const float *t, const float **net)
{
    const float nan = NAN;
    (void)t;
    *net = x;
    return score->device->k->upload(score->device, (float *)(uintptr_t)x, &nan, sizeof nan);
}

static void refuses(void **state)
{
    (void)state;
    static const double T[] = {0.5}, too_small[] = {EPS}, too_large[] = {1.1};
    ts_device *device = open_cpu();
    rig r = rig_open(&vp, device, line_mixture(device), 64, T, 1);
    const ts_bound_config good = config_of(&r, 100, 4, 1);
    ts_bound_config bad = good;
    ts_bound bound;
    double prior[100], share = 0;
    bad.T = too_small;
    MUST_FAIL(ts_bound_measure(&bad, &r.data, r.score, NULL, NULL, &bound), TS_INVALID);
    bad.T = too_large;
    MUST_FAIL(ts_bound_measure(&bad, &r.data, r.score, NULL, NULL, &bound), TS_INVALID);
    MUST_FAIL(ts_bound_prior(&good, &r.data, EPS, r.exact[0], prior, NULL), TS_INVALID);
    bad = good;
    bad.draws = 0;
    MUST_FAIL(ts_bound_measure(&bad, &r.data, r.score, NULL, NULL, &bound), TS_INVALID);
    bad = good;
    bad.count = 0;
    MUST_FAIL(ts_bound_measure(&bad, &r.data, r.score, NULL, NULL, &bound), TS_INVALID);
    ts_data levels = r.data;
    levels.mixture = NULL;
    levels.levels = 17;
    levels.count = 50;
    MUST_FAIL(ts_bound_measure(&good, &levels, r.score, NULL, NULL, &bound), TS_INVALID);
    bad.count = 100;
    bad.tracks_K = false;
    MUST_FAIL(ts_bound_measure(&bad, &levels, r.score, NULL, NULL, &bound), TS_INVALID);
    MUST_FAIL(ts_bound_measure(&good, &r.data, r.score, stop, &share, &bound), TS_INTERRUPTED);
    assert_true(share > 0 && share < 1 && !bound.diffusion);
    r.score->evaluate = not_a_number;
    MUST_FAIL(ts_bound_measure(&good, &r.data, r.score, NULL, NULL, &bound), TS_NOT_FINITE);
    rig_close(&r);
}

/* Weights near the end of the range of numbers, where their sum has none. */
static void extreme_weights(void **state)
{
    (void)state;
    const double means[] = {-1, 1}, stds[] = {0.1, 0.1};
    const struct {
        double weights[2], first; /* first: its share of the whole, 0 where the pair is refused */
    } cases[] = {
        {{1e308, 1e308}, 0.5}, {{1.5e308, 0.5e308}, 0.75}, {{4e-324, 4e-324}, 0.5}, {{1e300, 1e-300}, 0}};
    ts_device *device = open_cpu();
    for (int i = 0; i < 4; i++) {
        ts_mixture *mixture;
        ts_status status = ts_mixture_create(device, 2, 1, cases[i].weights, means, stds, NULL, &mixture);
        if (cases[i].first == 0) {
            assert_non_null(
                strstr(ts_status_message(status), "weight 1, 1e-300, is nothing beside the largest"));
            ts_status_free(status);
            continue;
        }
        double shares[2];
        must(status);
        must(device->k->download(device, shares, mixture->view.weights, sizeof shares));
        assert_true(fabs(shares[0] - cases[i].first) < 1e-15 && fabs(shares[0] + shares[1] - 1) < 1e-15);
        ts_mixture_destroy(mixture);
    }
    ts_device_close(device);
}

static void refuses_mixtures(void **state)
{
    (void)state;
    const double weights[] = {0.5, 0.5}, means[] = {0, 0, 1, 1}, stds[] = {1, 1, 1, 0};
    const double negative[] = {0.5, -0.5}, skew[] = {1, 0, 0, 1, 1, 0.1, 0.2, 1};
    const double indefinite[] = {1, 0, 0, 1, 1, 2, 2, 1};
    ts_device *device = open_cpu();
    ts_mixture *mixture;
    ts_status status;
    MUST_FAIL(ts_mixture_create(device, 2, 2, weights, means, stds, NULL, &mixture), TS_INVALID);
    MUST_FAIL(ts_mixture_create(device, 2, 2, negative, means, NULL, skew, &mixture), TS_INVALID);
    MUST_FAIL(ts_mixture_create(device, 2, 2, weights, means, NULL, NULL, &mixture), TS_INVALID);
    MUST_FAIL(ts_mixture_create(device, 0, 2, weights, means, NULL, skew, &mixture), TS_INVALID);
    status = ts_mixture_create(device, 2, 2, weights, means, NULL, skew, &mixture);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    assert_non_null(strstr(ts_status_message(status), "component 1 is not symmetric"));
    ts_status_free(status);
    status = ts_mixture_create(device, 2, 2, weights, means, NULL, indefinite, &mixture);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    assert_non_null(strstr(ts_status_message(status), "component 1 is not positive definite"));
    ts_status_free(status);
    assert_int_equal(device->bytes, 0);
    ts_device_close(device);
}

/* The same seed gives the same bits, and no batch buffer is left behind. */
static void repeats(void **state)
{
    (void)state;
    static const double T[] = {0.5, 0.2};
    ts_device *device = open_cpu();
    rig r = rig_open(&vp, device, line_mixture(device), 64, T, 2);
    const ts_bound_config config = config_of(&r, 100, 3, 7);
    ts_bound first, second;
    double prior[2][100];
    const size_t bytes = device->bytes;
    must(ts_bound_measure(&config, &r.data, r.score, NULL, NULL, &first));
    must(ts_bound_measure(&config, &r.data, r.score, NULL, NULL, &second));
    assert_memory_equal(first.diffusion, second.diffusion, 200 * sizeof(double));
    must(ts_bound_prior(&config, &r.data, T[0], r.normal[0], prior[0], NULL));
    must(ts_bound_prior(&config, &r.data, T[0], r.normal[0], prior[1], NULL));
    assert_memory_equal(prior[0], prior[1], sizeof prior[0]);
    /* the scratch of operations aside */
    assert_true(device->bytes - bytes < 100000);
    ts_bound_release(&first);
    ts_bound_release(&second);
    rig_close(&r);
}

/* ---- how often the intervals hold ----
 *
 * 93 to 97 times in 100, with seeds enough (1000: 0.7 % standard error) that this is not a matter of luck.
 */

enum { QUANTITIES = 6 };

static void count_hits(const rig *r, const measured *m, int hits[MAX_T][QUANTITIES])
{
    const truth at_eps = quadrature(&r->sde, EPS, 1);
    for (int i = 0; i < r->T_count; i++) {
        const truth q = quadrature(&r->sde, r->T[i], 1);
        /* the prior term from p_T is the mutual information of x0 and x_T */
        const ts_interval values[QUANTITIES] = {m->exact[i].elbo, m->normal[i].elbo, m->K[i],
                                                m->kl[i],         m->exact[i].prior, m->normal[i].prior};
        const double wanted[QUANTITIES] = {
            -at_eps.entropy, -at_eps.entropy - q.kl, at_eps.information - q.information, q.kl,
            q.information,   q.information + q.kl};
        for (int j = 0; j < QUANTITIES; j++)
            hits[i][j] += fabs(values[j].mean - wanted[j]) <= values[j].half;
    }
}

static void intervals_cover(void **state)
{
    (void)state;
    enum { SEEDS = 1000 };
    static const double T[] = {1.0, 0.4, 0.2, 0.1};
    static const char *const names[QUANTITIES] = {"exact start", "normal start", "K",
                                                  "KL",          "exact prior",  "normal prior"};
    ts_device *device = open_cpu();
    rig r = rig_open(&vp, device, line_mixture(device), 1024, T, 4);
    int hits[MAX_T][QUANTITIES] = {{0}};
    for (int seed = 0; seed < SEEDS; seed++) {
        const measured m = measure(&r, 500, 8, (uint64_t)seed);
        count_hits(&r, &m, hits);
    }
    for (int j = 0; j < QUANTITIES; j++)
        for (int i = 0; i < 4; i++) {
            const double share = (double)hits[i][j] / SEEDS;
            print_message("  T %.1f  %-12s covered %.1f %%\n", T[i], names[j], 100 * share);
            NEAR(share, 0.95, 0.02);
        }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quadrature_is_consistent),
        cmocka_unit_test(quadrature_equals_the_table),
        cmocka_unit_test(tight_under_vp),
        cmocka_unit_test(tight_under_subvp),
        cmocka_unit_test(tight_under_ve),
        cmocka_unit_test(tight_with_full_covariances),
        cmocka_unit_test(tight_in_five_dimensions),
        cmocka_unit_test(tight_on_levels),
        cmocka_unit_test(prior_in_closed_form),
        cmocka_unit_test(start_error_is_that_of_its_score),
        cmocka_unit_test(intervals_cover),
        cmocka_unit_test(intervals_cover_on_levels),
        cmocka_unit_test(repeats),
        cmocka_unit_test(refuses),
        cmocka_unit_test(extreme_weights),
        cmocka_unit_test(refuses_mixtures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
