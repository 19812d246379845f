/*
 * Rows of the whitening by a Gaussian, each row of x at its own time.
 */
#include <math.h>
#include <stdlib.h>
#include "operations.h"

typedef struct whiten_row {
    int n, d;
    bool inverse, accumulate;
    ts_sde sde;
    ot_buffer *t, *mean, *values, *vectors, *x, *y, *log_det;
} whiten_row;

static void reference(void *p)
{
    whiten_row *r = p;
    const int d = r->d;
    for (int i = 0; i < r->n; i++) {
        const double a = ts_sde_mean(&r->sde, r->t->v[i]), s = ts_sde_std(&r->sde, r->t->v[i]);
        double log_det = 0;
        for (int j = 0; j < d; j++)
            r->y->want[i * d + j] =
                (r->accumulate ? r->y->v[i * d + j] : 0) + (r->inverse && r->mean ? a * r->mean->v[j] : 0);
        for (int k = 0; k < d; k++) {
            const double deviation = sqrt(a * a * r->values->v[k] + s * s);
            double u = 0;
            for (int j = 0; j < d; j++)
                u += r->vectors->v[k * d + j] *
                     (r->x->v[i * d + j] - (r->inverse || !r->mean ? 0 : a * r->mean->v[j]));
            for (int j = 0; j < d; j++)
                r->y->want[i * d + j] +=
                    r->vectors->v[k * d + j] * (r->inverse ? u * deviation : u / deviation);
            log_det += r->inverse ? log(deviation) : -log(deviation);
        }
        if (r->log_det)
            r->log_det->want[i] = log_det;
    }
}

/* d orthonormal vectors of d, by reflections of the unit ones. */
static ot_buffer *orthonormal(ot *t, int d)
{
    double *v = calloc((size_t)d * (size_t)d, sizeof *v);
    for (int i = 0; i < d; i++)
        v[i * d + i] = 1;
    for (int pass = 0; pass < 2; pass++) {
        double square = 0;
        for (int j = 0; j < d; j++)
            square += pow(cos(3 * j + 5 * pass + 1), 2);
        for (int i = 0; i < d; i++) {
            double dot = 0;
            for (int j = 0; j < d; j++)
                dot += v[i * d + j] * cos(3 * j + 5 * pass + 1);
            for (int j = 0; j < d; j++)
                v[i * d + j] -= 2 * dot / square * cos(3 * j + 5 * pass + 1);
        }
    }
    ot_buffer *b = ot_values(t, TS_F64, (int64_t)d * d, v);
    free(v);
    return b;
}

void operations_whiten(ot *t)
{
    static const ts_sde processes[] = {{.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20},
                                       {.kind = TS_SDE_SUBVP, .beta_min = 0.1, .beta_max = 20},
                                       {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50}};
    static const int shapes[][2] = {{1, 1}, {3, 5}, {37, 64}, {130, 33}, {9, 300}};
    for (int i = 0; i < 5; i++)
        for (int variant = 0; variant < 6; variant++) {
            /* forwards and back, without and with the determinant; the gradient, assigned and added */
            const bool gradient = variant > 3;
            whiten_row r = {.n = shapes[i][0],
                            .d = shapes[i][1],
                            .inverse = !gradient && variant & 1,
                            .accumulate = variant == 5,
                            .sde = processes[i % 3]};
            const int64_t count = (int64_t)r.n * r.d;
            ot_case(t, "n %d d %d%s%s%s%s", r.n, r.d, r.inverse ? " inverse" : "",
                    (variant & 2) ? " log_det" : "", gradient ? " gradient" : "",
                    r.accumulate ? " accumulate" : "");
            r.t = ot_uniform(t, TS_F32, r.n, 0.05, 1);
            r.mean = gradient ? NULL : ot_normal(t, TS_F64, r.d, 0, 1);
            r.values = ot_uniform(t, TS_F64, r.d, 0, 2);
            r.vectors = orthonormal(t, r.d);
            r.x = ot_normal(t, OT_ACTIVATION, count, 0, 1);
            r.y =
                r.accumulate ? ot_normal(t, OT_ACTIVATION, count, 0, 1) : ot_output(t, OT_ACTIVATION, count);
            r.log_det = variant & 2 ? ot_output(t, TS_F32, r.n) : NULL;
            ts_whiten a = {.n = r.n,
                           .d = r.d,
                           .inverse = r.inverse,
                           .sde = r.sde,
                           .t = ot_in(r.t),
                           .mean = ot_in(r.mean),
                           .values = ot_in(r.values),
                           .vectors = ot_in(r.vectors),
                           .x = ot_in(r.x),
                           .y = ot_out(r.y),
                           .accumulate = r.accumulate,
                           .log_det = ot_out(r.log_det)};
            ot_run(t, whiten, a);
            ot_check(t, reference, &r, 1e-7);
        }
}
