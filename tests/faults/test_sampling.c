/*
 * Sampling that goes wrong or is stopped: states that are not finite, a stop between two steps.
 */
#include <signal.h>
#include "diffusion/samplers/sampler.h"
#include "oracle.h"

enum { POINTS = 64, STEPS = 20 };

/* The exact score of a mixture, which at its evaluation `at` turns to NaN, or asks for a stop. */
typedef struct faulty {
    ts_score score;
    ts_score *exact;
    int evaluations, at;
    volatile sig_atomic_t *stop; /* NULL: NaN */
    float *nothing;              /* device [POINTS], NaN */
} faulty;

static ts_status evaluate(ts_score *score, const float *x, const float *t, const float **net)
{
    faulty *f = (faulty *)score;
    TS_TRY(f->exact->evaluate(f->exact, x, t, net));
    if (++f->evaluations != f->at)
        return NULL;
    if (f->stop)
        *f->stop = 1;
    else
        *net = f->nothing;
    return NULL;
}

typedef struct bench {
    ts_device *device;
    ts_mixture *mixture;
    faulty score;
    ts_sampler *sampler;
    float *x; /* device [POINTS] */
} bench;

static void *floats(const ts_device *device, float value)
{
    float host[POINTS];
    void *memory;
    for (int i = 0; i < POINTS; i++)
        host[i] = value;
    must(device->k->allocate((ts_device *)device, sizeof host, &memory));
    must(device->k->upload((ts_device *)device, memory, host, sizeof host));
    return memory;
}

static void bench_open(bench *b)
{
    *b = (bench){.device = open_cpu()};
    b->device->recording_off = true; /* a replay would not come through this score */
    b->mixture = line_mixture(b->device);
    must(ts_score_mixture(b->mixture, &vp, POINTS, &b->score.exact));
    b->score.score = *b->score.exact;
    b->score.score.evaluate = evaluate;
    b->score.nothing = floats(b->device, NAN);
    must(ts_sampler_create(&b->score.score, &vp, &b->sampler));
    b->x = floats(b->device, 0.3f);
}

static void bench_close(bench *b)
{
    b->device->k->release(b->device, b->x);
    b->device->k->release(b->device, b->score.nothing);
    ts_sampler_destroy(b->sampler);
    ts_score_destroy(b->score.exact);
    ts_mixture_destroy(b->mixture);
    ts_device_close(b->device);
}

static void start(bench *b, float value)
{
    float x[POINTS];
    for (int i = 0; i < POINTS; i++)
        x[i] = value;
    must(b->device->k->upload(b->device, b->x, x, sizeof x));
    b->score.evaluations = 0;
}

static ts_sampler_config config_of(int kind)
{
    return (ts_sampler_config){.kind = kind,
                               .T = 0.5,
                               .eps = 1e-3,
                               .steps = STEPS,
                               .rtol = 1e-4,
                               .atol = 1e-4,
                               .denoise = false,
                               .rho = 7,
                               .churn = 5,
                               .churn_noise = 1,
                               .corrector_steps = 1,
                               .snr = 0.16};
}

static void must_say(ts_status status, ts_code code, const char *words)
{
    assert_int_equal(ts_status_code(status), code);
    if (!strstr(ts_status_message(status), words))
        fail_msg("\"%s\" does not say \"%s\"", ts_status_message(status), words);
    ts_status_free(status);
}

static void a_state_that_is_not_finite_is_an_error(void **state)
{
    (void)state;
    static const struct {
        ts_sampler_kind kind;
        int at; /* evaluation within step 11 */
        const char *words;
    } cases[] = {{TS_SAMPLER_EM, 11, "Euler-Maruyama from T = 0.5: between step 9 and step 16 of 20"},
                 {TS_SAMPLER_HEUN, 21, "Heun from T = 0.5: between step 9 and step 16 of 20"},
                 {TS_SAMPLER_HEUN, 2 * STEPS, "Heun from T = 0.5: between step 17 and step 20 of 20"},
                 {TS_SAMPLER_DPMPP2M, 11, "DPM-Solver++(2M) from T = 0.5: between step 9 and step 16 of 20"},
                 {TS_SAMPLER_ANCESTRAL, 11, "ancestral from T = 0.5: between step 9 and step 16 of 20"},
                 {TS_SAMPLER_EDM, 21, "EDM from T = 0.5: between step 9 and step 16 of 20"},
                 {TS_SAMPLER_PC, 21, "predictor-corrector from T = 0.5: between step 9 and step 16 of 20"},
                 {TS_SAMPLER_PC, 2 * STEPS, "predictor-corrector from T = 0.5: between step 17 and step 20"},
                 {TS_SAMPLER_RK45, 11, "RK45"}};
    bench b;
    int nfe;
    bench_open(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ts_sampler_config config = config_of((int)cases[i].kind);
        b.score.at = cases[i].at;
        start(&b, 0.3f);
        must_say(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe), TS_NOT_FINITE, cases[i].words);
        /* the start itself */
        b.score.at = 0;
        start(&b, i % 2 ? INFINITY : NAN);
        must_say(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe), TS_NOT_FINITE, "not finite");
        /* and nothing of the failure is left behind */
        start(&b, 0.3f);
        must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe));
    }
    ts_sampler_config config = config_of(TS_SAMPLER_HEUN);
    config.denoise = true;
    b.score.at = 2 * STEPS + 1;
    start(&b, 0.3f);
    must_say(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe), TS_NOT_FINITE, "denoising step");
    bench_close(&b);
}

static void a_stop_ends_it_between_two_steps(void **state)
{
    (void)state;
    static const ts_sampler_kind kinds[] = {TS_SAMPLER_EM,   TS_SAMPLER_HEUN,      TS_SAMPLER_DPMPP2M,
                                            TS_SAMPLER_RK45, TS_SAMPLER_ANCESTRAL, TS_SAMPLER_EDM,
                                            TS_SAMPLER_PC};
    static const int a_step[] = {1, 2, 1, 6, 1, 2, 2};
    float whole[POINTS], again[POINTS];
    volatile sig_atomic_t stop = 0;
    bench b;
    int nfe;
    bench_open(&b);
    b.score.stop = &stop;
    ts_sampler_stop_at(b.sampler, &stop);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const ts_sampler_config config = config_of((int)kinds[i]);
        b.score.at = 0;
        start(&b, 0.3f);
        must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe));
        must(b.device->k->download(b.device, whole, b.x, sizeof whole));
        b.score.at = 9;
        start(&b, 0.3f);
        must_say(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe), TS_INTERRUPTED, "interrupted");
        assert_in_range(b.score.evaluations, 9, 9 + a_step[i] - 1);
        stop = 0;
        b.score.at = 0;
        start(&b, 0.3f);
        must(ts_sampler_run(b.sampler, &config, 1, 0, b.x, &nfe));
        must(b.device->k->download(b.device, again, b.x, sizeof again));
        assert_memory_equal(whole, again, sizeof whole);
    }
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_that_is_not_finite_is_an_error),
        cmocka_unit_test(a_stop_ends_it_between_two_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
