/*
 * Rows of the network's operations: convolution, dense layers, attention, normalisation, element-wise.
 */
#include <math.h>
#include "operations.h"

/* ---- scale_add ---- */

typedef struct scale_row {
    int64_t count;
    double scale;
    bool accumulate;
    ot_buffer *x, *y;
} scale_row;

static void scale_reference(void *p)
{
    scale_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->scale * r->x->v[i] + (r->accumulate ? r->y->v[i] : 0);
}

static void scale_rows(ot *t)
{
    static const int64_t counts[] = {1, 1000, 100003};
    for (int i = 0; i < 3; i++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            ot_case(t, "count %ld%s", (long)counts[i], accumulate ? " accumulate" : "");
            scale_row r = {counts[i], (double)0.7f, accumulate, NULL, NULL};
            r.x = ot_normal(t, OT_ACTIVATION, r.count, 0, 1);
            r.y = accumulate ? ot_normal(t, OT_ACTIVATION, r.count, 0, 1)
                             : ot_output(t, OT_ACTIVATION, r.count);
            ts_scale_add a = {r.count, 0.7f, ot_in(r.x), ot_out(r.y), accumulate};
            ot_run(t, scale_add, a);
            ot_check(t, scale_reference, &r, 1e-6);
        }
}

void operations_nn(ot *t)
{
    scale_rows(t);
}
