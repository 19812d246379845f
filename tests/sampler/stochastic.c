/*
 * The ancestral chain, Heun with churn, predictor and corrector: what their samples are distributed like, and the
 * noise that they take.
 */
#include <stdio.h>
#include "elsewhere.h"
#include "sampler.h"

static ts_sampler_config churning(double T, int steps)
{
    ts_sampler_config config = config_of(TS_SAMPLER_EDM, T, steps, 0);
    config.churn = 0.3 * steps;
    return config;
}

/* Langevin steps of a length that leaves the law alone. */
static ts_sampler_config correcting(double T, int steps, int corrector_steps)
{
    ts_sampler_config config = config_of(TS_SAMPLER_PC, T, steps, 0);
    config.corrector_steps = corrector_steps;
    config.snr = 0.04;
    return config;
}

void stochastic_samplers_reproduce_the_data(void **state)
{
    (void)state;
    static const struct {
        const ts_sde *sde;
        const char *name;
        double T;
    } cases[] = {{&vp, "VP", 0.3}, {&ve, "VE", 0.5}, {&subvp, "sub-VP", 0.5}, {&vp, "VP", 0.8}};
    for (int i = 0; i < (elsewhere() ? 2 : 4); i++) {
        const double T = cases[i].T;
        bench b = bench_line(cases[i].sde, 4000);
        const ts_sampler_config configs[] = {config_of(TS_SAMPLER_ANCESTRAL, T, (int)lround(500 * T), 0),
                                             config_of(TS_SAMPLER_EDM, T, 60, 0), churning(T, 100),
                                             correcting(T, (int)lround(300 * T), 2)};
        for (int j = 0; j < 4; j++) {
            char name[32];
            int nfe;
            snprintf(name, sizeof name, "%s %s", cases[i].name, ts_sampler_kind_words.word[configs[j].kind]);
            draw(&b, T, 17 + (uint64_t)i);
            must(ts_sampler_run(b.sampler, &configs[j], 5, 0, b.x, &nfe));
            check_samples(&b, name, T, nfe);
        }
        bench_close(&b);
    }
}

/* ---- one Gaussian ----
 *
 * Every step is linear there, so the variance after a few coarse ones is known exactly, far from the true one;
 * the formulas are written out for VP, apart from the engine's. */

static double integral(double t)
{
    return 0.1 * t + 9.95 * t * t;
}

/* Data of variance c: the posterior's mean with E[x0|x] = a c x/total, and its variance. */
static double ancestral_variance(double T, int steps, double c, double variance)
{
    for (int i = 0; i < steps; i++) {
        const double t = T - i * (T - EPS) / steps, u = T - (i + 1) * (T - EPS) / steps;
        const double a = exp(-0.5 * integral(t)), a_u = exp(-0.5 * integral(u)), decay = a / a_u;
        const double s2 = 1 - a * a, s2_u = 1 - a_u * a_u, added = s2 - decay * decay * s2_u;
        const double mean = decay * s2_u / s2 + a_u * added / s2 * (a * c / (a * a * c + s2));
        variance = mean * mean * variance + added * s2_u / s2;
    }
    return variance;
}

/* In y = x/a, whose slope is y sigma/(c + sigma^2). */
static double edm_variance(const ts_sampler_config *config, double c, double variance)
{
    const double first = sqrt(expm1(integral(config->T))), last = sqrt(expm1(integral(EPS)));
    const double gamma = fmin(config->churn / config->steps, sqrt(2) - 1);
    variance /= exp(-integral(config->T));
    for (int i = 0; i < config->steps; i++) {
        const double from =
            pow(first, 1 / 7.0) + i * (pow(last, 1 / 7.0) - pow(first, 1 / 7.0)) / config->steps;
        const double to =
            pow(first, 1 / 7.0) + (i + 1) * (pow(last, 1 / 7.0) - pow(first, 1 / 7.0)) / config->steps;
        const double sigma = pow(from, 7), end = pow(to, 7);
        const bool within =
            sigma >= config->churn_min && (config->churn_max == 0 || sigma <= config->churn_max);
        const double raised = within ? fmin(sigma * (1 + gamma), first) : sigma;
        const double h = end - raised, slope = raised / (c + raised * raised),
                     slope_end = end / (c + end * end);
        variance += (raised * raised - sigma * sigma) * config->churn_noise * config->churn_noise;
        variance *= pow(1 + 0.5 * h * (slope + (1 + h * slope) * slope_end), 2);
    }
    return variance * exp(-integral(EPS));
}

/* |z|/|score| is the standard deviation of x's law where x follows it, of the score otherwise. */
static double pc_variance(const ts_sampler_config *config, double c, double variance)
{
    for (int i = 0; i < config->steps; i++) {
        const double h = (config->T - EPS) / config->steps, t = config->T - i * h, u = t - h;
        const double added = 1 - exp(integral(u) - integral(t)),
                     total = exp(-integral(t)) * c + 1 - exp(-integral(t));
        for (int k = 0; k < config->corrector_steps; k++) {
            const double score2 = variance / (total * total), alpha = 1 - added;
            const double step = 2 * alpha * config->snr * config->snr / score2;
            variance = pow(1 - step / total, 2) * variance + 2 * step;
        }
        variance = pow(2 - sqrt(1 - added) - added / total, 2) * variance + added;
    }
    return variance;
}

void their_variance_is_that_of_the_recursion(void **state)
{
    (void)state;
    const int N = elsewhere() ? 2000 : 20000;
    const double std = 0.5, c = std * std;
    bench b = bench_gaussian(&vp, N, std);
    for (int i = 0; i < 5; i++)
        for (int steps = 3; steps <= 12; steps *= 2) {
            const double T = steps == 6 ? 0.2 : 0.6;
            ts_sampler_config config = i == 0   ? config_of(TS_SAMPLER_ANCESTRAL, T, steps, 0)
                                       : i == 1 ? config_of(TS_SAMPLER_EDM, T, steps, 0)
                                       : i == 2 ? churning(T, steps)
                                                : config_of(TS_SAMPLER_PC, T, steps, 0);
            if (i == 2) { /* not at every sigma, and too much noise */
                config.churn_min = 0.1;
                config.churn_max = 2;
                config.churn_noise = 1.3;
            }
            if (i == 4)
                config.corrector_steps = 3;
            const double start = exp(-integral(T)) * c + 1 - exp(-integral(T));
            const double exact = i == 0  ? ancestral_variance(T, steps, c, start)
                                 : i < 3 ? edm_variance(&config, c, start)
                                         : pc_variance(&config, c, start);
            double square = 0;
            int nfe;
            draw(&b, T, 100 + (uint64_t)steps);
            must(ts_sampler_run(b.sampler, &config, 9, 0, b.x, &nfe));
            fetch(&b);
            for (int k = 0; k < N; k++)
                square += (double)b.host[k] * b.host[k] / N;
            print_message("%-9s T %.1f  %2d steps: variance %.4f, by recursion %.4f\n",
                          ts_sampler_kind_words.word[config.kind], T, steps, square, exact);
            NEAR(square, exact, 4 * exact * sqrt(2.0 / N));
        }
    bench_close(&b);
}

/* ---- details ---- */

/* Rows far out make the batch's score large, and so the step of every other row small. */
void a_langevin_step_goes_by_the_whole_batch(void **state)
{
    (void)state;
    enum { N = 8 };
    bench b = bench_gaussian(&vp, N, 0.5);
    const ts_sampler_config config = config_of(TS_SAMPLER_PC, 0.3, 1, 0);
    float x[N] = {0.1f, -0.4f, 0.3f, 0.2f}, alone[N];
    int nfe;
    put(&b, x);
    must(ts_sampler_run(b.sampler, &config, 9, 0, b.x, &nfe));
    fetch(&b);
    memcpy(alone, b.host, sizeof alone);
    x[N - 1] = 30;
    put(&b, x);
    must(ts_sampler_run(b.sampler, &config, 9, 0, b.x, &nfe));
    fetch(&b);
    assert_true(fabsf(b.host[0] - alone[0]) > 1e-4f);
    bench_close(&b);
}

void evaluations_are_those_of_the_formula(void **state)
{
    (void)state;
    static const struct {
        ts_sampler_kind kind;
        int corrector_steps, nfe; /* of 10 steps with denoising */
    } cases[] = {{TS_SAMPLER_EM, 7, 11},        {TS_SAMPLER_HEUN, 7, 21}, {TS_SAMPLER_DPMPP2M, 7, 11},
                 {TS_SAMPLER_ANCESTRAL, 7, 11}, {TS_SAMPLER_EDM, 7, 21},  {TS_SAMPLER_PC, 1, 21},
                 {TS_SAMPLER_PC, 3, 41},        {TS_SAMPLER_PC, 0, 11}};
    bench b = bench_line(&vp, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_sampler_config config = config_of(cases[i].kind, 0.3, 10, 0);
        int nfe;
        config.corrector_steps = cases[i].corrector_steps;
        for (int denoise = 1; denoise >= 0; denoise--) {
            config.denoise = denoise;
            draw(&b, 0.3, 1);
            must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe));
            assert_int_equal(nfe, cases[i].nfe - !denoise);
            assert_int_equal(ts_sampler_nfe(&config), nfe);
            /* and as a budget they hold ten steps, one less holds nine, and a step's too few none */
            const int step = (cases[i].nfe - 1) / 10;
            assert_int_equal(ts_sampler_steps_within(&config, nfe), 10);
            assert_int_equal(ts_sampler_steps_within(&config, nfe + step - 1), 10);
            assert_int_equal(ts_sampler_steps_within(&config, nfe - 1), 9);
            assert_int_equal(ts_sampler_steps_within(&config, step - 1 + denoise), 0);
        }
    }
    const ts_sampler_config adaptive = config_of(TS_SAMPLER_RK45, 0.3, 10, 1e-3);
    assert_int_equal(ts_sampler_nfe(&adaptive), 0);
    bench_close(&b);
}

/* The times that a score is asked for lie in [eps, T], whatever the churn. */
static double latest, earliest;
static ts_status (*evaluate)(ts_score *, const float *, const float *, const float **);

static ts_status note_time(ts_score *score, const float *x, const float *t, const float **net)
{
    float first;
    must(score->device->k->download(score->device, &first, t, sizeof first));
    latest = fmax(latest, first);
    earliest = fmin(earliest, first);
    return evaluate(score, x, t, net);
}

void churn_never_goes_past_where_it_began(void **state)
{
    (void)state;
    const ts_sde *const sdes[] = {&vp, &subvp, &ve};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            const double T = k ? 0.2 : 1.0;
            ts_sampler_config config = config_of(TS_SAMPLER_EDM, T, 200, 0);
            bench b = bench_line(sdes[i], 4);
            int nfe;
            config.churn = 1000;
            latest = 0;
            earliest = 1;
            evaluate = b.score->evaluate;
            b.score->evaluate = note_time;
            b.device->recording_off = true;
            draw(&b, T, 1);
            must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe));
            assert_true(latest == (double)(float)T);
            assert_true(earliest == (double)(float)EPS);
            bench_close(&b);
        }
}
