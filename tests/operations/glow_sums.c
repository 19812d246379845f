/*
 * Rows of the sums that make a log-likelihood: of a parameter for every image, and of vectors.
 */
#include "operations.h"

typedef struct sum_row {
    int n, count;
    double factor;
    ot_buffer *x[64], *y;
} sum_row;

static void parameter_sum_reference(void *p)
{
    sum_row *r = p;
    double sum = 0;
    for (int j = 0; j < r->count; j++)
        sum += r->x[0]->v[j];
    for (int i = 0; i < r->n; i++)
        r->y->want[i] = r->factor * sum;
}

static void vector_sum_reference(void *p)
{
    sum_row *r = p;
    for (int i = 0; i < r->n; i++) {
        r->y->want[i] = 0;
        for (int k = 0; k < r->count; k++)
            r->y->want[i] += r->x[k]->v[i];
    }
}

void operations_glow_sums(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {128, 4}, {7, 64}};
    for (int i = 0; i < 3; i++) {
        sum_row r = {.n = shapes[i][0], .count = shapes[i][1], .factor = 16};
        for (int backward = 0; backward < 2; backward++) {
            ot_case(t, "n %d count %d", r.n, r.count);
            r.x[0] = ot_normal(t, TS_F32, r.count, 0, 1);
            r.y = ot_output(t, TS_F32, r.n);
            if (backward) {
                ts_parameter_sum_backward b = {.n = r.n, .count = r.count, .factor = 16};
                b.dy = ot_cotangent(t, r.y);
                b.dp = ot_gradient(t, r.x[0], OT_ADD);
                ot_run(t, parameter_sum_backward, b);
                ot_check_gradients(t, parameter_sum_reference, &r, 1e-5);
            } else {
                ts_parameter_sum_forward a = {.n = r.n, .count = r.count, .factor = 16};
                a.p = ot_in(r.x[0]);
                a.y = ot_out(r.y);
                ot_run(t, parameter_sum_forward, a);
                ot_check(t, parameter_sum_reference, &r, 1e-6);
            }
        }
        ot_case(t, "n %d of %d vectors", r.n, r.count);
        ts_vector_sum s = {.n = r.n, .count = r.count};
        for (int k = 0; k < r.count; k++) {
            r.x[k] = ot_normal(t, TS_F32, r.n, 0, 1);
            s.x[k] = ot_in(r.x[k]);
        }
        r.y = ot_output(t, TS_F32, r.n);
        s.y = ot_out(r.y);
        ot_run(t, vector_sum, s);
        ot_check(t, vector_sum_reference, &r, 1e-6);
    }
}
