/*
 * The Dirichlet-process mixture: its evidence bound against closed forms and by the step, what it finds, and its file.
 */
#include "dpmixture_test.h"

/* ---- the evidence bound ---- */

static double log_determinant_2(const double s[3])
{
    return log(s[0] * s[2] - s[1] * s[1]);
}

/*
 * Of one component in the plane the bound is the evidence itself: the marginal likelihood of a Gaussian under a
 * normal-Wishart prior (Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007, section 8.3), times
 * the probability that all points take the first stick.
 */
static void test_one_component(void **state)
{
    (void)state;
    enum { n = 40, d = 2 };
    double *x = points(n, d, 2, 1.5), mean[d] = {0}, scatter[3] = {0}, prior[3], after[3];
    ts_dpmixture fit;
    for (int floor = 0; floor < 2; floor++) {
        ts_dpmixture_config config = settings(1);
        config.floor = floor ? 0.3 : 1e-12;
        must(ts_dpmixture_fit(x, n, d, &config, &fit));
        memset(mean, 0, sizeof mean);
        memset(scatter, 0, sizeof scatter);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < d; j++)
                mean[j] += x[i * d + j] / n;
        for (int i = 0; i < n; i++) {
            const double u = x[i * d] - mean[0], v = x[i * d + 1] - mean[1];
            scatter[0] += u * u;
            scatter[1] += u * v;
            scatter[2] += v * v;
        }
        for (int i = 0; i < 3; i++) {
            const double blur = i == 1 ? 0 : config.floor;
            prior[i] = scatter[i] / (n - 1) + d * blur;
            after[i] = prior[i] + scatter[i] + n * blur; /* the prior's mean is the points' */
        }
        const double nu0 = d, nu = d + n;
        double wanted = -0.5 * n * d * log(M_PI) + 0.5 * d * log(1.0 / (1 + n)) +
                        0.5 * nu0 * log_determinant_2(prior) - 0.5 * nu * log_determinant_2(after);
        for (int i = 0; i < d; i++)
            wanted += lgamma(0.5 * (nu - i)) - lgamma(0.5 * (nu0 - i));
        /* E (v^n), v ~ Beta(1, c) */
        wanted += lgamma(1 + n) + lgamma(1 + config.concentration) - lgamma(1 + n + config.concentration);
        NEAR(fit.bound[fit.iterations], wanted, 1e-9 * fabs(wanted));
        NEAR(fit.weights[0], 1, 1e-15);
        for (int i = 0; i < d; i++)
            NEAR(fit.means[i], mean[i], 1e-12);
        NEAR(fit.covariances[1], after[1] / nu, 1e-12);
        NEAR(fit.covariances[3], after[2] / nu, 1e-12);
        ts_dpmixture_release(&fit);
    }
    free(x);
}

/* Diagonal covariances are as many dimensions on the line, which share the sticks alone. */
static void test_diagonal(void **state)
{
    (void)state;
    enum { n = 50, d = 3 };
    double *x = points(n, d, 2, 2), column[n], wanted = 0;
    ts_dpmixture fit, line;
    ts_dpmixture_config config = settings(1);
    config.floor = 0.1;
    config.diagonal = true;
    must(ts_dpmixture_fit(x, n, d, &config, &fit));
    for (int j = 0; j < d; j++) {
        config.diagonal = false;
        for (int i = 0; i < n; i++)
            column[i] = x[i * d + j];
        must(ts_dpmixture_fit(column, n, 1, &config, &line));
        wanted += line.bound[line.iterations];
        NEAR(fit.covariances[j], line.covariances[0], 1e-12);
        NEAR(fit.means[j], line.means[0], 1e-12);
        ts_dpmixture_release(&line);
    }
    wanted -=
        (d - 1) * (lgamma(1 + n) + lgamma(1 + config.concentration) - lgamma(1 + n + config.concentration));
    NEAR(fit.bound[fit.iterations], wanted, 1e-9 * fabs(wanted));
    ts_dpmixture_release(&fit);
    free(x);
}

/* A fit that no step moves ends, whatever the tolerance. */
static void test_nothing_left_to_gain(void **state)
{
    (void)state;
    double *x = points(50, 2, 2, 2);
    ts_dpmixture fit;
    ts_dpmixture_config config = settings(1);
    config.tolerance = 0;
    must(ts_dpmixture_fit(x, 50, 2, &config, &fit));
    assert_true(fit.converged);
    assert_true(fit.iterations < config.iterations);
    ts_dpmixture_release(&fit);
    free(x);
}

/* Whatever the points, the floor and the beginning, no step lowers the bound. */
static void test_never_falls(void **state)
{
    (void)state;
    static const struct {
        int n, d, groups, components;
        double apart, floor;
    } cases[] = {
        {200, 1, 2, 5, 3, 1e-6}, {300, 3, 3, 8, 1, 1e-6}, {300, 3, 3, 8, 2, 0.5}, {60, 20, 4, 6, 1, 0.01}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double *x = points(cases[c].n, cases[c].d, cases[c].groups, cases[c].apart);
        for (uint64_t seed = 0; seed < 6; seed++) {
            ts_dpmixture fit;
            ts_dpmixture_config config = settings(cases[c].components);
            config.floor = cases[c].floor;
            config.seed = seed / 3;
            config.diagonal = seed % 3 == 1;
            config.factors = seed % 3 == 2 ? (cases[c].d + 1) / 2 : 0;
            must(ts_dpmixture_fit(x, cases[c].n, cases[c].d, &config, &fit));
            assert_true(fit.iterations > 1);
            for (int i = 1; i <= fit.iterations; i++)
                if (!(fit.bound[i] >= fit.bound[i - 1] - 1e-11 * fabs(fit.bound[i])))
                    fail_msg("case %zu, seed %d: step %d takes the bound from %.12g to %.12g", c, (int)seed,
                             i, fit.bound[i - 1], fit.bound[i]);
            ts_dpmixture_release(&fit);
        }
        free(x);
    }
}

/* ---- what it finds ---- */

static void test_groups_found(void **state)
{
    (void)state;
    enum { n = 900, d = 3 };
    double *x = points(n, d, 3, 8);
    ts_dpmixture fit;
    const ts_dpmixture_config config = settings(7);
    must(ts_dpmixture_fit(x, n, d, &config, &fit));
    assert_true(fit.converged);
    for (int k = 0; k < 3; k++) {
        NEAR(fit.weights[k], 1 / 3.0, 0.02);
        for (int j = 0; j < d; j++) { /* near one of the two places that a coordinate has */
            const double mean = fit.means[k * d + j];
            NEAR(fabs(mean - 4), 4, 0.3);
            NEAR(fit.covariances[(k * d + j) * d + j], 1 / (double)((1 + j) * (1 + j)), 0.4);
        }
    }
    assert_true(fit.weights[3] < 0.01);
    for (int k = 1; k < fit.k; k++)
        assert_true(fit.weights[k] <= fit.weights[k - 1]);
    ts_dpmixture_release(&fit);
    free(x);
}

/* The number of threads is no input. */
static void test_threads(void **state)
{
    (void)state;
    enum { n = 500, d = 4, k = 5 };
    double *x = points(n, d, 3, 2);
    ts_dpmixture one, three;
    ts_dpmixture_config config = settings(k);
    must(ts_dpmixture_fit(x, n, d, &config, &one));
    config.threads = 3;
    must(ts_dpmixture_fit(x, n, d, &config, &three));
    assert_int_equal(one.iterations, three.iterations);
    assert_memory_equal(one.weights, three.weights, sizeof(double) * k);
    assert_memory_equal(one.covariances, three.covariances, sizeof(double) * k * d * d);
    ts_dpmixture_release(&one);
    ts_dpmixture_release(&three);
    free(x);
}

/* Points that lie in a plane, or all in one place, have covariances all the same: the floor's. */
static void test_floor(void **state)
{
    (void)state;
    enum { n = 100, d = 3 };
    double *x = points(n, d, 2, 2);
    ts_dpmixture fit;
    ts_dpmixture_config config = settings(4);
    config.floor = 1e-4;
    for (int i = 0; i < n; i++)
        x[i * d + 1] = 0.25;
    must(ts_dpmixture_fit(x, n, d, &config, &fit));
    for (int k = 0; k < fit.k; k++)
        NEAR(fit.covariances[(k * d + 1) * d + 1], 1e-4, 1e-12);
    ts_dpmixture_release(&fit);
    for (int i = 0; i < n * d; i++)
        x[i] = 1;
    must(ts_dpmixture_fit(x, n, d, &config, &fit));
    ts_dpmixture_release(&fit);
    x[5] = NAN;
    must_fail(ts_dpmixture_fit(x, n, d, &config, &fit), TS_NOT_FINITE, "raise start.floor above 0.0001");
    config.components = 0;
    must_fail(ts_dpmixture_fit(x, n, d, &config, &fit), TS_INVALID,
              "0 components of 100 points in 3 dimensions");
    free(x);
}

/* As many centres as groups that lie far apart: each gets its own. */
static void test_kmeans(void **state)
{
    (void)state;
    enum { n = 300, d = 3 };
    double *x = points(n, d, 3, 50);
    int label[n];
    for (uint64_t seed = 0; seed < 10; seed++) {
        must(ts_kmeans(x, n, d, 3, seed, 2, label));
        for (int i = 0; i < n; i++)
            assert_int_equal(label[i], label[i % 3]);
        assert_true(label[0] != label[1] && label[1] != label[2] && label[0] != label[2]);
    }
    free(x);
}

/* ---- of a run ---- */

/* On the digits, carried to any T, it is nearer to x_T than one Gaussian; fitted at T it serves that one. */
static void test_digits(void **state)
{
    (void)state;
    ts_run *run = create(FOLDER, on_digits, NULL, false);
    ts_fit_result result;
    ts_start start;
    ts_interval gaussian, mixture;
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 4, &start), TS_NOT_FOUND,
              "no dpmixture is fitted yet: tstar fit " FOLDER " --start dpmixture");
    must(ts_dpmixture_fit_run(run, NAN, NULL, &result));
    assert_true(!result.reused && result.steps > 1 && isfinite(result.loss) && result.seconds > 0);
    assert_int_equal(components_of(FOLDER FIT), 16);
    const int64_t steps = result.steps;
    must(ts_dpmixture_fit_run(run, 0.4, NULL, &result));
    assert_true(result.reused && result.steps == steps);
    for (double T = 0.1; T < 0.3; T += 0.1) {
        prior_of(run, TS_START_GAUSSIAN, T, &gaussian, NULL);
        prior_of(run, TS_START_DPMIXTURE, T, &mixture, NULL);
        assert_true(mixture.mean < 0.9 * gaussian.mean);
    }
    ts_run_close(run);

    run = reopen(FOLDER, "start={at: T, components: 3, iterations: 5}");
    must_fail(ts_dpmixture_fit_run(run, NAN, NULL, NULL), TS_INVALID, "it is fitted at each T");
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 4, &start), TS_NOT_FOUND,
              "tstar fit " FOLDER " --start dpmixture --T 0.4");
    must(ts_dpmixture_fit_run(run, 0.4, NULL, &result));
    assert_int_equal(components_of(FOLDER FIT_AT_T), 3);
    must(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 4, &start));
    assert_string_equal(start.density->name, "dpmixture");
    ts_start_release(&start);
    prior_of(run, TS_START_DPMIXTURE, 0.4, &mixture, NULL);
    prior_of(run, TS_START_NORMAL, 0.4, &gaussian, NULL);
    assert_true(mixture.mean < 0.8 * gaussian.mean);
    assert_int_equal(system("cp " FOLDER FIT_AT_T " " FOLDER "/dpmixture_T0.3.safetensors"), 0);
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.3, 4, &start), TS_FORMAT,
              "not what is fitted at T = 0.3");
    must_fail(ts_dpmixture_fit_run(run, 2, NULL, NULL), TS_INVALID, "T must lie in (1e-05, 1]");
    ts_run_close(run);
}

/* A mixture's own components come out: hardly anything is lost against the exact density. */
static void test_mixture(void **state)
{
    (void)state;
    ts_run *run = create(FOLDER, on_mixture, "data.mixture.count=297", false);
    ts_interval prior, gaussian, mixture;
    must(ts_dpmixture_fit_run(run, NAN, NULL, NULL));
    prior_of(run, TS_START_GAUSSIAN, 0.05, &prior, &gaussian);
    prior_of(run, TS_START_DPMIXTURE, 0.05, &prior, &mixture);
    assert_true(gaussian.mean > 0.1);
    NEAR(mixture.mean, 0, 0.01);
    ts_run_close(run);
}

/* The same data with independent dimensions: the diagonal file is read back as what it is. */
static void test_diagonal_file(void **state)
{
    (void)state;
    ts_run *run = create(FOLDER, on_digits, "start={covariance: diagonal, components: 8}", false);
    ts_interval normal, mixture;
    must(ts_dpmixture_fit_run(run, NAN, NULL, NULL));
    prior_of(run, TS_START_NORMAL, 0.2, &normal, NULL);
    prior_of(run, TS_START_DPMIXTURE, 0.2, &mixture, NULL);
    assert_true(mixture.mean < 0.7 * normal.mean);
    ts_run_close(run);
    run = reopen(FOLDER, "start.covariance=full"); /* what is stored is what starts */
    prior_of(run, TS_START_DPMIXTURE, 0.2, &normal, NULL);
    assert_true(normal.mean == mixture.mean);
    ts_run_close(run);
}

static void test_replaced(void **state)
{
    (void)state;
    static const char images[] = "data={kind: idx, path: " FOLDER "/data}";
    ts_fit_result result;
    ts_start start;
    write_images(FOLDER "/data", 0);
    ts_run *run = create(FOLDER "/run", on_digits, images, false);
    must(ts_dpmixture_fit_run(run, NAN, NULL, NULL));
    ts_run_close(run);
    run = reopen(FOLDER "/run", "start.components=2");
    must_fail(ts_dpmixture_fit_run(run, NAN, NULL, NULL), TS_INVALID,
              "is a finished fit with start.components = 16, not 2, and would be replaced; tstar fit " FOLDER
              "/run --start dpmixture --force does that");
    must(ts_dpmixture_fit_run(run, NAN, &(ts_fit_options){.replace = true}, &result));
    assert_false(result.reused);
    assert_int_equal(components_of(FOLDER "/run" FIT), 2);
    ts_run_close(run);
    write_images(FOLDER "/data", 1);
    run = reopen(FOLDER "/run", "start.components=2");
    must_fail(ts_dpmixture_fit_run(run, NAN, NULL, NULL), TS_INVALID, "with the data's checksum = ");
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 2, &start), TS_INVALID,
              "is of other data (checksum ");
    must(ts_dpmixture_fit_run(run, NAN, &(ts_fit_options){.replace = true}, NULL));
    copy_edited(FOLDER "/run" FIT, FOLDER "/run" FIT, "\"means\"", "\"maens\"");
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 2, &start), TS_INVALID, "tensor means is missing");
    assert_int_equal(system("echo none > " FOLDER "/run" FIT), 0);
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 2, &start), TS_FORMAT, FOLDER "/run" FIT);
    must(ts_dpmixture_fit_run(run, NAN, NULL, NULL)); /* what is no fit at all is none */
    ts_run_close(run);
    run = create(FOLDER "/subvp", on_digits, "sde.kind=subvp", false);
    assert_int_equal(system("cp " FOLDER "/run" FIT " " FOLDER "/subvp"), 0);
    must_fail(ts_start_open(run, TS_START_DPMIXTURE, 0.4, 2, &start), TS_INVALID, "is of other data");
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_component),
        cmocka_unit_test(test_diagonal),
        cmocka_unit_test(test_nothing_left_to_gain),
        cmocka_unit_test(test_never_falls),
        cmocka_unit_test(test_groups_found),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_kmeans),
        cmocka_unit_test(test_factor_bound),
        cmocka_unit_test(test_factors_found),
        cmocka_unit_test(test_factor_threads),
        cmocka_unit_test(test_factors_carried),
        cmocka_unit_test(test_factor_draws),
        cmocka_unit_test_setup_teardown(test_factor_file, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_many_dimensions, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_digits, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_mixture, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_diagonal_file, start_clean, start_clean),
        cmocka_unit_test_setup_teardown(test_replaced, start_clean, start_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
