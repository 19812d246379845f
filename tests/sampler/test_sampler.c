/*
 * The samplers and the ODE on exact scores: distributions, orders of convergence, evaluations, likelihoods.
 *
 * What they share is in bench.c; ancestral, edm with churn and pc are in stochastic.c.
 * To add a case, choose a mixture whose law at the end is known (oracle.h), and list the test in main.
 */
#include <stdio.h>
#include "diffusion/densities/density.h"
#include "sampler.h"

static void reproduces_the_data(void **state)
{
    (void)state;
    static const double Ts[] = {1.0, 0.4, 0.2};
    bench b = bench_line(&vp, 10000);
    for (int i = 0; i < 3; i++) {
        const double T = Ts[i];
        const ts_sampler_config configs[] = {config_of(TS_SAMPLER_EM, T, (int)lround(1000 * T), 0),
                                             config_of(TS_SAMPLER_HEUN, T, (int)lround(300 * T), 0),
                                             config_of(TS_SAMPLER_RK45, T, 0, 1e-5),
                                             config_of(TS_SAMPLER_DPMPP2M, T, 60, 0)};
        static const char *const names[] = {"EM", "Heun", "RK45", "DPM++(2M)"};
        for (int j = 0; j < 4; j++) {
            int nfe;
            draw(&b, T, 17);
            must(ts_sampler_run(b.sampler, &configs[j], 5, 0, b.x, &nfe));
            check_samples(&b, names[j], T, nfe);
            if (configs[j].steps)
                assert_int_equal(nfe, configs[j].steps * (configs[j].kind == TS_SAMPLER_HEUN ? 2 : 1));
        }
    }
    bench_close(&b);
}

static void other_processes(void **state)
{
    (void)state;
    const ts_sde *const sdes[] = {&subvp, &ve};
    static const char *const names[] = {"sub-VP", "VE"};
    for (int i = 0; i < 2; i++) {
        bench b = bench_line(sdes[i], 5000);
        const ts_sampler_config configs[] = {config_of(TS_SAMPLER_EM, 0.5, 1000, 0),
                                             config_of(TS_SAMPLER_RK45, 0.5, 0, 1e-5),
                                             config_of(TS_SAMPLER_DPMPP2M, 0.5, 100, 0)};
        for (int j = 0; j < 3; j++) {
            int nfe;
            draw(&b, 0.5, 3);
            must(ts_sampler_run(b.sampler, &configs[j], 5, 0, b.x, &nfe));
            check_samples(&b, names[i], 0.5, nfe);
        }
        bench_close(&b);
    }
}

/* ---- convergence ---- */

enum { POINTS = 64 };

static void spread_points(float *x)
{
    for (int i = 0; i < POINTS; i++)
        x[i] = (float)(-3.0 + 6.0 * i / (POINTS - 1));
}

/* dx/dt of the probability-flow ODE under VP, from the density itself. */
static double flow_slope(double t, double x)
{
    double derivative;
    const double p = line_density(&vp, t, x, &derivative);
    return -0.5 * ts_sde_beta(&vp, t) * (x + derivative / p);
}

/* The classical fourth-order method, its steps uniform in sqrt(t) where the flow is smooth down to eps. */
static double fine_flow(double x, double from, double to)
{
    const int steps = 4000;
    const double r0 = sqrt(from), dr = (sqrt(to) - r0) / steps;
    for (int i = 0; i < steps; i++) {
        const double r = r0 + i * dr, m = r + 0.5 * dr, e = r + dr;
        const double k1 = 2 * r * flow_slope(r * r, x);
        const double k2 = 2 * m * flow_slope(m * m, x + 0.5 * dr * k1);
        const double k3 = 2 * m * flow_slope(m * m, x + 0.5 * dr * k2);
        const double k4 = 2 * e * flow_slope(e * e, x + dr * k3);
        x += dr / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
    return x;
}

static double flow_error(bench *b, const ts_sampler_config *config, const double *wanted, int *nfe)
{
    float x[POINTS];
    double error = 0.0;
    spread_points(x);
    put(b, x);
    must(ts_sampler_run(b->sampler, config, 1, 0, b->x, nfe));
    fetch(b);
    for (int i = 0; i < POINTS; i++)
        error += pow(b->host[i] - wanted[i], 2) / POINTS;
    return sqrt(error);
}

static void second_order(void **state)
{
    (void)state;
    static const ts_sampler_kind kinds[] = {TS_SAMPLER_HEUN, TS_SAMPLER_DPMPP2M, TS_SAMPLER_EDM};
    static const int fewest[] = {60, 40, 40};
    static const double Ts[] = {1.0, 0.4};
    bench b = bench_line(&vp, POINTS);
    for (int i = 0; i < 2; i++) {
        float x[POINTS];
        double wanted[POINTS], eps = 0.02;
        spread_points(x);
        for (int j = 0; j < POINTS; j++)
            wanted[j] = fine_flow(x[j], Ts[i], eps);
        for (int j = 0; j < 3; j++) {
            double errors[3];
            int nfe;
            for (int k = 0; k < 3; k++) {
                ts_sampler_config config = config_of(kinds[j], Ts[i], fewest[j] << k, 0);
                config.eps = eps;
                errors[k] = flow_error(&b, &config, wanted, &nfe);
            }
            const double order = log2(errors[0] / errors[2]) / 2;
            print_message("%-16s T %.1f  errors %.1e %.1e %.1e  order %.2f\n", ts_samplers[kinds[j]].text,
                          Ts[i], errors[0], errors[1], errors[2], order);
            NEAR(order, 2.0, 0.3);
        }
    }
    bench_close(&b);
}

/*
 * One Gaussian: every Euler-Maruyama step is linear, so the variance that N steps give is known exactly; it
 * tends to the true one with order one.
 */
static double euler_variance(double T, int steps, double c, double variance)
{
    const double h = (T - EPS) / steps;
    for (int i = 0; i < steps; i++) {
        const double t = T - i * h, B = 0.1 * t + 9.95 * t * t, b = 0.1 + 19.9 * t;
        const double total = exp(-B) * c + 1.0 - exp(-B);
        variance = pow(1.0 + h * b * (0.5 - 1.0 / total), 2) * variance + h * b;
    }
    return variance;
}

static void euler_maruyama_is_weakly_first_order(void **state)
{
    (void)state;
    enum { N = 60000 };
    static const double Ts[] = {1.0, 0.4, 0.2};
    const double std = 0.5, c = std * std;
    bench b = bench_gaussian(&vp, N, std);
    for (int i = 0; i < 3; i++) {
        const double T = Ts[i], start = pow(ts_sde_mean(&vp, T), 2) * c + pow(ts_sde_std(&vp, T), 2);
        const double truth = pow(ts_sde_mean(&vp, EPS), 2) * c + pow(ts_sde_std(&vp, EPS), 2);
        for (int steps = 4; steps <= 64; steps *= 4) {
            const ts_sampler_config config = config_of(TS_SAMPLER_EM, T, steps, 0);
            double square = 0.0;
            int nfe;
            draw(&b, T, 100 + (uint64_t)steps);
            must(ts_sampler_run(b.sampler, &config, 9, 0, b.x, &nfe));
            fetch(&b);
            for (int k = 0; k < N; k++)
                square += (double)b.host[k] * b.host[k] / N;
            const double exact = euler_variance(T, steps, c, start);
            print_message("EM        T %.1f  %2d steps: variance %.4f, by recursion %.4f, of p_eps %.4f\n", T,
                          steps, square, exact, truth);
            NEAR(square, exact, 4.0 * exact * sqrt(2.0 / N));
        }
        NEAR(log2((euler_variance(T, 200, c, start) - truth) / (euler_variance(T, 400, c, start) - truth)),
             1.0, 0.1);
    }
    bench_close(&b);
}

/* End points against the fine reference; evaluations against scipy.integrate.solve_ivp(method="RK45") 1.17 in
 * double precision on the same system of 64 points, in both directions.  Near T = 1 the slope is a difference
 * of nearly equal numbers whose rounding in float32 enters the error estimate, and which step is accepted can
 * turn on it (rounding the slopes to float32 moves SciPy's own count from 86 to 92): so one attempt of 6
 * evaluations more or less, three at the smallest tolerance, but not on average. */
static void rk45_like_scipy(void **state)
{
    (void)state;
    static const struct {
        double T, tolerance;
        int down, up; /* evaluations from T to eps from these points, and from eps to T from half of them */
        double error; /* of the end points at eps, root mean square */
    } cases[] = {{1.0, 1e-3, 44, 86, 2.0e-3}, {1.0, 1e-4, 74, 92, 2.7e-4}, {1.0, 1e-5, 86, 128, 2.5e-5},
                 {0.4, 1e-3, 38, 74, 1.2e-3}, {0.4, 1e-4, 50, 80, 5.9e-4}, {0.4, 1e-5, 68, 110, 3.6e-4},
                 {0.2, 1e-3, 44, 68, 2.4e-4}, {0.2, 1e-4, 44, 74, 1.3e-4}, {0.2, 1e-5, 68, 98, 1.7e-5}};
    bench b = bench_line(&vp, POINTS);
    double ours = 0.0, scipy = 0.0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double T = cases[i].T, tolerance = cases[i].tolerance;
        const ts_sampler_config config = config_of(TS_SAMPLER_RK45, T, 0, tolerance);
        float x[POINTS];
        double wanted[POINTS];
        int down, up;
        spread_points(x);
        for (int j = 0; j < POINTS; j++)
            wanted[j] = fine_flow(x[j], T, EPS);
        const double error = flow_error(&b, &config, wanted, &down);
        for (int j = 0; j < POINTS; j++)
            x[j] *= 0.5f;
        put(&b, x);
        must(ts_sampler_ode(b.sampler, EPS, T, tolerance, tolerance, b.x, NULL, NULL, &up));
        print_message(
            "RK45      T %.1f  tolerance %.0e  error %.1e (SciPy %.1e)  nfe %d (%d), upwards %d (%d)\n", T,
            tolerance, error, cases[i].error, down, cases[i].down, up, cases[i].up);
        const int slack = tolerance > 5e-5 ? 6 : 18;
        assert_in_range(down, cases[i].down - slack, cases[i].down + slack);
        assert_in_range(up, cases[i].up - slack, cases[i].up + slack);
        ours += down + up;
        scipy += cases[i].down + cases[i].up;
        assert_true(error < 1.5 * cases[i].error);
    }
    print_message("RK45      evaluations %.0f, SciPy %.0f\n", ours, scipy);
    NEAR(ours / scipy, 1.0, 0.04);
    bench_close(&b);
}

static void there_and_back(void **state)
{
    (void)state;
    bench b = bench_line(&vp, POINTS);
    float x[POINTS];
    int nfe;
    draw(&b, EPS, 11);
    fetch(&b);
    memcpy(x, b.host, sizeof x);
    must(ts_sampler_ode(b.sampler, EPS, 0.3, 1e-6, 1e-6, b.x, NULL, NULL, &nfe));
    must(ts_sampler_ode(b.sampler, 0.3, EPS, 1e-6, 1e-6, b.x, NULL, NULL, &nfe));
    fetch(&b);
    for (int i = 0; i < POINTS; i++)
        NEAR(b.host[i], x[i], 2e-4);
    bench_close(&b);
}

/* ---- likelihood ---- */

/* log p_t of every row of b->x by the engine's closed form (tested elsewhere). */
static void log_density(bench *b, double t, double *log_prob)
{
    void *times, *values;
    float *host = malloc((size_t)b->n * sizeof *host);
    assert_non_null(host);
    for (int i = 0; i < b->n; i++)
        host[i] = (float)t;
    must(b->device->k->allocate(b->device, (size_t)b->n * sizeof(float), &times));
    must(b->device->k->allocate(b->device, (size_t)b->n * sizeof(double), &values));
    must(b->device->k->upload(b->device, times, host, (size_t)b->n * sizeof(float)));
    const ts_mixture_evaluate a = {
        .n = b->n, .sde = b->sde, .mixture = b->mixture->view, .x = b->x, .t = times, .log_prob = values};
    must(b->device->k->mixture_evaluate(b->device, &a));
    must(b->device->k->download(b->device, log_prob, values, (size_t)b->n * sizeof(double)));
    must(b->device->k->synchronize(b->device));
    b->device->k->release(b->device, times);
    b->device->k->release(b->device, values);
    free(host);
}

/* log p_eps by the ODE, averaged over `probes` Rademacher probes that together give the exact trace, against
 * the closed form. */
static void check_likelihood(bench *b, double T, int probes, const float signs[][3], double tolerance)
{
    const size_t count = (size_t)b->n * (size_t)b->d;
    double *truth = malloc((size_t)b->n * sizeof *truth), *end = malloc((size_t)b->n * sizeof *end);
    double *delta = malloc((size_t)b->n * sizeof *delta), *sum = calloc((size_t)b->n, sizeof *sum);
    float *x = malloc(count * sizeof *x), *v = malloc(count * sizeof *v);
    void *probe;
    int nfe;
    assert_true(truth && end && delta && sum && x && v);
    must(b->device->k->allocate(b->device, count * sizeof(float), &probe));
    draw(b, EPS, 23);
    fetch(b);
    memcpy(x, b->host, count * sizeof *x);
    log_density(b, EPS, truth);
    for (int p = 0; p < probes; p++) {
        for (size_t i = 0; i < count; i++)
            v[i] = signs[p][i % (size_t)b->d];
        must(b->device->k->upload(b->device, probe, v, count * sizeof *v));
        put(b, x);
        must(ts_sampler_ode(b->sampler, EPS, T, 1e-6, 1e-6, b->x, probe, delta, &nfe));
        log_density(b, T, end);
        for (int i = 0; i < b->n; i++)
            sum[i] += (end[i] + delta[i]) / probes;
    }
    double worst = 0.0;
    for (int i = 0; i < b->n; i++)
        worst = fmax(worst, fabs(sum[i] - truth[i]));
    print_message("likelihood d %d T %.1f  nfe %d  largest error %.1e nats\n", b->d, T, nfe, worst);
    assert_true(worst < tolerance);
    b->device->k->release(b->device, probe);
    free(truth);
    free(end);
    free(delta);
    free(sum);
    free(x);
    free(v);
}

/* The Jacobian of a Gaussian with diagonal covariance is diagonal: any one probe is exact. */
static void likelihood_of_a_gaussian(void **state)
{
    (void)state;
    static const float signs[1][3] = {{1, -1, 1}};
    const double weight = 1.0, means[] = {0.5, -1.0, 0.0}, stds[] = {0.3, 0.6, 1.4};
    const ts_sde *const sdes[] = {&vp, &subvp, &ve};
    for (int i = 0; i < 3; i++) {
        ts_device *device = open_cpu();
        ts_mixture *mixture;
        must(ts_mixture_create(device, 1, 3, &weight, means, stds, NULL, &mixture));
        bench b = bench_open(sdes[i], 40, device, mixture);
        check_likelihood(&b, 1.0, 1, signs, 1e-3);
        check_likelihood(&b, 0.2, 1, signs, 1e-3);
        bench_close(&b);
    }
}

/* In two dimensions the probes (1,1) and (1,-1) cancel the off-diagonal entry between them. */
static void likelihood_of_a_mixture(void **state)
{
    (void)state;
    static const float signs[2][3] = {{1, 1, 0}, {1, -1, 0}};
    const double weights[] = {0.6, 0.4}, means[] = {-0.8, 0.3, 0.9, -0.5};
    const double covariances[] = {0.2, 0.1, 0.1, 0.15, 0.3, -0.2, -0.2, 0.4};
    ts_device *device = open_cpu();
    ts_mixture *mixture;
    must(ts_mixture_create(device, 2, 2, weights, means, NULL, covariances, &mixture));
    bench b = bench_open(&vp, 60, device, mixture);
    check_likelihood(&b, 1.0, 2, signs, 2e-3);
    check_likelihood(&b, 0.4, 2, signs, 2e-3);
    bench_close(&b);
}

/* ---- the rest ---- */

static void same_seed_same_bits(void **state)
{
    (void)state;
    enum { N = 3000 };
    bench b = bench_line(&vp, N);
    float first[N];
    int nfe;
    for (int kind = 0; kind < TS_SAMPLER_COUNT; kind++) {
        ts_sampler_config config = config_of((ts_sampler_kind)kind, 0.5, 20, 1e-4);
        config.denoise = true;
        config.churn = 5;
        draw(&b, 0.5, 1);
        must(ts_sampler_run(b.sampler, &config, 7, 2, b.x, &nfe));
        fetch(&b);
        memcpy(first, b.host, sizeof first);
        draw(&b, 0.5, 1);
        must(ts_sampler_run(b.sampler, &config, 7, 2, b.x, &nfe));
        fetch(&b);
        assert_memory_equal(first, b.host, sizeof first);
        draw(&b, 0.5, 1);
        must(ts_sampler_run(b.sampler, &config, 7, 3, b.x, &nfe));
        fetch(&b);
        /* another instance is other noise; the ODE samplers have none */
        const bool ode = kind == TS_SAMPLER_HEUN || kind == TS_SAMPLER_RK45 || kind == TS_SAMPLER_DPMPP2M;
        assert_int_equal(memcmp(first, b.host, sizeof first) == 0, ode);
    }
    bench_close(&b);
}

static void denoising(void **state)
{
    (void)state;
    bench b = bench_line(&vp, POINTS);
    for (int kind = 0; kind < TS_SAMPLER_COUNT; kind++) {
        ts_sampler_config config = config_of((ts_sampler_kind)kind, 0.3, 50, 1e-4);
        config.eps = 0.01;
        float x[POINTS];
        int nfe, nfe_denoised;
        spread_points(x);
        put(&b, x);
        must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe));
        fetch(&b);
        memcpy(x, b.host, sizeof x);
        spread_points(b.host);
        put(&b, b.host);
        config.denoise = true;
        must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe_denoised));
        fetch(&b);
        assert_int_equal(nfe_denoised, nfe + 1);
        for (int i = 0; i < POINTS; i++) {
            double derivative;
            const double a = ts_sde_mean(&vp, 0.01), s = ts_sde_std(&vp, 0.01);
            const double p = line_density(&vp, 0.01, x[i], &derivative);
            NEAR(b.host[i], (x[i] + s * s * derivative / p) / a, 1e-5);
        }
    }
    bench_close(&b);
}

static void refuses(void **state)
{
    (void)state;
    bench b = bench_line(&vp, POINTS);
    double delta[POINTS];
    int nfe;
    draw(&b, 0.5, 1);
    const ts_sampler_config good = config_of(TS_SAMPLER_HEUN, 0.5, 10, 1e-4);
    ts_sampler_config bad = good;
    bad.T = EPS;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    bad.T = 1.5;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    bad = good;
    bad.steps = 0;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    bad.kind = TS_SAMPLER_PC;
    bad.steps = good.steps;
    bad.corrector_steps = -1;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    bad.corrector_steps = TS_SAMPLER_CORRECTOR_STEPS + 1;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    bad.kind = TS_SAMPLER_EDM;
    bad.rho = 0;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    bad = good;
    bad.kind = TS_SAMPLER_RK45;
    bad.rtol = 0;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_INVALID);
    b.score->vjp = NULL;
    MUST_FAIL(ts_sampler_ode(b.sampler, EPS, 1, 1e-4, 1e-4, b.x, b.x, delta, &nfe), TS_INVALID);
    float x[POINTS] = {NAN};
    put(&b, x);
    bad.rtol = 1e-4;
    MUST_FAIL(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe), TS_NOT_FINITE);
    draw(&b, 0.5, 1); /* nothing of the failure is left behind */
    must(ts_sampler_run(b.sampler, &bad, 1, 0, b.x, &nfe));
    bench_close(&b);
}

/* ---- the start ---- */

static const ts_kernels *real_kernels;
static ts_fill_random asked;

static ts_status note_fill(ts_device *device, const ts_fill_random *a)
{
    asked = *a;
    return real_kernels->fill_random(device, a);
}

/* The state is float32 although activations are not: N(0, I) must not be drawn through them. */
static void the_start_is_float32(void **state)
{
    (void)state;
    const ts_step_state first = {5, 0, 0};
    bench b = bench_line(&vp, POINTS);
    ts_kernels kernels = *(real_kernels = b.device->k);
    const ts_dtype activation = b.device->activation;
    ts_density *normal;
    void *at;
    must(b.device->k->allocate(b.device, sizeof first, &at));
    must(b.device->k->upload(b.device, at, &first, sizeof first));
    kernels.fill_random = note_fill;
    b.device->k = &kernels;
    b.device->activation = TS_BF16;
    must(ts_density_normal(b.device, POINTS, 1, 1.0, &normal));
    must(normal->sample(normal, at, b.x));
    assert_true(asked.wide && asked.out == b.x && asked.count == POINTS);
    b.device->activation = activation;
    b.device->k = real_kernels;
    ts_density_destroy(normal);
    b.device->k->release(b.device, at);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reproduces_the_data),
        cmocka_unit_test(other_processes),
        cmocka_unit_test(second_order),
        cmocka_unit_test(euler_maruyama_is_weakly_first_order),
        cmocka_unit_test(stochastic_samplers_reproduce_the_data),
        cmocka_unit_test(their_variance_is_that_of_the_recursion),
        cmocka_unit_test(a_langevin_step_goes_by_the_whole_batch),
        cmocka_unit_test(evaluations_are_those_of_the_formula),
        cmocka_unit_test(churn_never_goes_past_where_it_began),
        cmocka_unit_test(rk45_like_scipy),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(likelihood_of_a_gaussian),
        cmocka_unit_test(likelihood_of_a_mixture),
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(denoising),
        cmocka_unit_test(refuses),
        cmocka_unit_test(the_start_is_float32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
