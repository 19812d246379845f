/*
 * Rows of the samplers: random numbers, times, steps of the integrators.
 */
#include <stdlib.h>
#include <string.h>
#include "random.h"

/* ---- fill_time, fill_random, convert ---- */

typedef struct pair_row {
    int64_t count, from;
    double scale;
    bool rademacher, wide;
    ot_buffer *x, *y;
} pair_row;

static void fill_time_reference(void *p)
{
    pair_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->x->v[r->from];
}

static void convert_reference(void *p)
{
    pair_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->x->v[i];
}

static void fill_random_reference(void *p)
{
    pair_row *r = p;
    for (int64_t i = 0; i < r->count; i++) {
        const uint64_t element = (uint64_t)(r->from + i);
        r->y->want[i] = r->rademacher
                            ? (ts_uniform_from(word_of(&state5, TS_STREAM_PROBE, element)) > 0.5f ? 1 : -1)
                            : r->scale * normal_of(&state5, TS_STREAM_PROBE, element);
    }
}

static void fill_rows(ot *t)
{
    static const int64_t counts[] = {1, 37, 1000, 100003};
    for (int k = 0; k < 3; k++) {
        pair_row r = {.count = counts[k], .from = state5.step};
        ot_case(t, "n %ld", (long)r.count);
        r.x = ot_uniform(t, TS_F32, 9, 0, 1);
        r.y = ot_output(t, TS_F32, r.count);
        ts_fill_time a = {(int)r.count, ot_in(r.x), device_state(t, &state5), ot_out(r.y)};
        ot_run(t, fill_time, a);
        ot_check(t, fill_time_reference, &r, 0);
        ot_case(t, "n %ld, the first time", (long)r.count);
        r.from = 0;
        r.x = ot_uniform(t, TS_F32, 9, 0, 1);
        r.y = ot_output(t, TS_F32, r.count);
        ts_fill_time b = {(int)r.count, ot_in(r.x), NULL, ot_out(r.y)};
        ot_run(t, fill_time, b);
        ot_check(t, fill_time_reference, &r, 0);
    }
    for (int k = 0; k < 16; k++) {
        pair_row r = {.count = counts[k / 4],
                      .from = k & 2 ? 4 * 12345 : 0,
                      .scale = 2.5,
                      .rademacher = k & 1,
                      .wide = k / 4 == 1 || k / 4 == 3};
        ot_case(t, "count %ld from %ld%s%s", (long)r.count, (long)r.from, r.rademacher ? " rademacher" : "",
                r.wide ? " wide" : "");
        r.y = ot_output(t, r.wide ? TS_F32 : OT_ACTIVATION, r.count);
        ts_fill_random a = {.count = r.count,
                            .scale = 2.5f,
                            .rademacher = r.rademacher,
                            .stream = TS_STREAM_PROBE,
                            .element = (uint32_t)r.from,
                            .state = device_state(t, &state5),
                            .out = ot_out(r.y),
                            .wide = r.wide};
        ot_run(t, fill_random, a);
        ot_check(t, fill_random_reference, &r, 2e-6);
        if (r.wide)
            ot_expect(t, ot_error(r.y, r.y->want) < 2e-6, "float32 whatever the activations are");
    }
    for (int k = 0; k < 8; k++) {
        pair_row r = {.count = counts[k / 2]};
        ot_case(t, "count %ld %s float32", (long)r.count, k & 1 ? "to" : "from");
        r.x = ot_normal(t, k & 1 ? OT_ACTIVATION : TS_F32, r.count, 0, 1);
        r.y = ot_output(t, k & 1 ? TS_F32 : OT_ACTIVATION, r.count);
        ts_convert a = {r.count, k & 1, ot_in(r.x), ot_out(r.y)};
        ot_run(t, convert, a);
        ot_check(t, convert_reference, &r, 0);
    }
}

/* ---- integrators ---- */

typedef struct step_row {
    int64_t count;
    int terms, into, first; /* first: of the table, in use */
    float c[8];
    double rtol, atol;
    ot_buffer *coefficients, *net, *x[8], *y, *y0, *y1;
} step_row;

static void sde_step_reference(void *p)
{
    step_row *r = p;
    const double *c = r->coefficients->v + 3 * (int)state5.step;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = c[0] * r->y->v[i] + c[1] * r->net->v[i] +
                        c[2] * normal_of(&state5, TS_STREAM_SAMPLER, (uint64_t)i);
}

static double combination(const step_row *r, int64_t i)
{
    double sum = 0;
    for (int k = 0; k < r->terms; k++)
        sum += (r->coefficients ? r->coefficients->v[r->first + k] : (double)r->c[k]) * r->x[k]->v[i];
    return sum;
}

static void combine_reference(void *p)
{
    step_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = combination(r, i);
}

static void error_reference(void *p)
{
    step_row *r = p;
    double sum = 0;
    for (int64_t i = 0; i < r->count; i++) {
        const double size = fmax(fabs(r->y0->v[i]), fabs(r->y1->v[i]));
        const double e = combination(r, i) / (r->atol + r->rtol * size);
        sum += e * e;
    }
    r->y->want[0] = sqrt(sum / (double)r->count);
}

enum { STRIDE = 11, OFFSET = 2 }; /* of a table's rows, and what is taken of them */

/* Coefficients by value, from a table's row at the state's step, or from its first row; and what they
 * multiply. */
static ts_coefficients step_terms(ot *t, step_row *r, int variant)
{
    ts_coefficients c = {.value = {NAN}};
    for (int k = 0; k < r->terms; k++) {
        r->c[k] = (float)normal_of(&state5, TS_STREAM_TEST, (uint64_t)k);
        r->x[k] = ot_normal(t, TS_F32, r->count, 0, 1);
    }
    r->coefficients = NULL;
    if (variant == 0) {
        memcpy(c.value, r->c, sizeof r->c);
        return c;
    }
    r->coefficients = ot_normal(t, TS_F32, STRIDE * ((int64_t)state5.step + 1), 0, 1);
    r->first = OFFSET + (variant == 1 ? STRIDE * (int)state5.step : 0);
    c.table = (const float *)ot_in(r->coefficients) + OFFSET;
    c.stride = STRIDE;
    c.state = variant == 1 ? device_state(t, &state5) : NULL;
    return c;
}

static void integrator_rows(ot *t)
{
    static const int64_t counts[] = {1, 300, 2048, 100003};
    for (int k = 0; k < 4; k++) {
        step_row r = {.count = counts[k]};
        ot_case(t, "count %ld", (long)r.count);
        r.coefficients = ot_normal(t, TS_F32, 3 * 8, 0, 1);
        r.net = ot_normal(t, TS_F32, r.count, 0, 1);
        r.y = ot_normal(t, TS_F32, r.count, 0, 1);
        ts_sde_step a = {r.count, ot_in(r.coefficients), device_state(t, &state5), ot_in(r.net), ot_out(r.y)};
        ot_run(t, sde_step, a);
        ot_check(t, sde_step_reference, &r, 1e-6);
    }
    static const char *const from[] = {"", ", of the step", ", of the first step"};
    for (int k = 0; k < 36; k++) {
        static const int terms[] = {1, 2, 8}, into[] = {-1, 0, 7};
        const int variant = k % 3;
        step_row r = {.count = counts[k / 9], .terms = terms[k / 3 % 3], .into = into[k / 3 % 3]};
        ot_case(t, "count %ld, %d terms%s%s", (long)r.count, r.terms, r.into < 0 ? "" : " in place",
                from[variant]);
        ts_linear_combine a = {.count = r.count, .terms = r.terms, .c = step_terms(t, &r, variant)};
        r.y = r.into < 0 ? ot_output(t, TS_F32, r.count) : r.x[r.into];
        a.y = ot_out(r.y);
        for (int j = 0; j < r.terms; j++)
            a.x[j] = ot_in(r.x[j]);
        ot_run(t, linear_combine, a);
        ot_check(t, combine_reference, &r, 1e-6);

        ot_case(t, "count %ld, %d terms%s", (long)r.count, r.terms, from[variant]);
        ts_error_norm b = {.count = r.count, .terms = r.terms, .rtol = 1e-3, .atol = 1e-4};
        b.c = step_terms(t, &r, variant);
        for (int j = 0; j < r.terms; j++)
            b.x[j] = ot_in(r.x[j]);
        r.rtol = b.rtol;
        r.atol = b.atol;
        r.y0 = ot_normal(t, TS_F32, r.count, 0, 1);
        r.y1 = ot_normal(t, TS_F32, r.count, 0, 1);
        r.y = ot_output(t, TS_F64, 1);
        b.y0 = ot_in(r.y0);
        b.y1 = ot_in(r.y1);
        b.error = ot_out(r.y);
        ot_run(t, error_norm, b);
        ot_check(t, error_reference, &r, 1e-12);
    }
}

/* ---- langevin_scale ---- */

typedef struct langevin_row {
    int n;
    step_row terms; /* two coefficients */
    ot_buffer *net_squared, *z_squared, *y;
} langevin_row;

static void langevin_reference(void *p)
{
    langevin_row *r = p;
    const step_row *s = &r->terms;
    double net = 0, z = 0, c[2];
    for (int i = 0; i < r->n; i++) {
        net += sqrt(r->net_squared->v[i]) / r->n;
        z += sqrt(r->z_squared->v[i]) / r->n;
    }
    for (int k = 0; k < 2; k++)
        c[k] = s->coefficients ? s->coefficients->v[s->first + k] : (double)s->c[k];
    r->y->want[0] = 1;
    r->y->want[1] = c[0] * (z / net) * (z / net);
    r->y->want[2] = c[1] * z / net;
}

static void langevin_rows(ot *t)
{
    static const int counts[] = {1, 33, 1000};
    for (int k = 0; k < 9; k++) {
        langevin_row r = {.n = counts[k / 3], .terms = {.count = 1, .terms = 2}};
        ot_case(t, "n %d%s", r.n, k % 3 == 0 ? "" : k % 3 == 1 ? ", of the step" : ", of the first step");
        const ts_coefficients c = step_terms(t, &r.terms, k % 3);
        r.net_squared = ot_uniform(t, TS_F64, r.n, 0.1, 50);
        r.z_squared = ot_uniform(t, TS_F64, r.n, 0.1, 9);
        r.y = ot_output(t, TS_F32, 3);
        ts_langevin_scale a = {r.n, c, ot_in(r.net_squared), ot_in(r.z_squared), ot_out(r.y)};
        ot_run(t, langevin_scale, a);
        ot_check(t, langevin_reference, &r, 1e-7);
        ot_expect(t, ot_error(r.y, r.y->want) < 1e-7, "float32 whatever the activations are");
    }
}

/* ---- rows_by_time ---- */

typedef struct choice_row {
    int n, d;
    float T;
    ot_buffer *t, *above, *below, *y;
} choice_row;

static void choice_reference(void *p)
{
    choice_row *r = p;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t j = 0; j < r->d; j++)
            r->y->want[i * r->d + j] = (r->t->v[i] > (double)r->T ? r->above : r->below)->v[i * r->d + j];
}

static void choice_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {2, 3}, {33, 64}, {257, 129}};
    for (int k = 0; k < 12; k++) {
        choice_row r = {.n = shapes[k / 3][0], .d = shapes[k / 3][1]};
        ot_case(t, "n %d, d %d%s", r.n, r.d,
                k % 3 == 1 ? ", the last row at T itself"
                : k % 3    ? ", all below"
                           : "");
        r.t = ot_uniform(t, TS_F32, r.n, 0, 1);
        r.T = k % 3 == 0 ? 0.4f : k % 3 == 1 ? (float)r.t->v[r.n - 1] : 1.0f;
        r.above = ot_normal(t, TS_F32, (int64_t)r.n * r.d, 0, 1);
        r.below = ot_normal(t, TS_F32, (int64_t)r.n * r.d, 0, 1);
        r.y = ot_output(t, TS_F32, (int64_t)r.n * r.d);
        ts_rows_by_time a = {.n = r.n,
                             .d = r.d,
                             .T = r.T,
                             .t = ot_in(r.t),
                             .above = ot_in(r.above),
                             .below = ot_in(r.below),
                             .y = ot_out(r.y)};
        ot_run(t, rows_by_time, a);
        ot_check(t, choice_reference, &r, 0);
    }
}

void operations_sampling(ot *t)
{
    fill_rows(t);
    integrator_rows(t);
    langevin_rows(t);
    choice_rows(t);
}
