/*
 * One score below a time T, another above.  With a start density's own score above T* and the network's below, started from
 * that start density at any T above T*, the bound is that of the start at T*: between them the prior term loses what the
 * diffusion term gains, datum by datum (Fokker-Planck; both densities are carried by one process).
 */
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/score.h"

typedef enum side { BOTH, BELOW, ABOVE } side;

typedef struct hybrid_score {
    ts_score base;
    ts_score *below, *above;
    float T; /* as rows have it */
    side side;
    float *net; /* [n,d], of both */
} hybrid_score;

static ts_status evaluate(ts_score *score, const float *x, const float *t, const float **net)
{
    const hybrid_score *s = (const hybrid_score *)score;
    const float *below, *above;
    if (s->side == ABOVE)
        return s->above->evaluate(s->above, x, t, net);
    if (s->side == BELOW)
        return s->below->evaluate(s->below, x, t, net);
    TS_TRY(s->below->evaluate(s->below, x, t, &below));
    TS_TRY(s->above->evaluate(s->above, x, t, &above));
    const ts_rows_by_time a = {
        .n = score->n, .d = score->d, .T = s->T, .t = t, .above = above, .below = below, .y = s->net};
    *net = s->net;
    return score->device->k->rows_by_time(score->device, &a);
}

static bool within(ts_score *score, double low, double high)
{
    hybrid_score *s = (hybrid_score *)score;
    const side before = s->side;
    s->side = (float)low > s->T ? ABOVE : (float)high <= s->T ? BELOW : BOTH;
    score->idle = s->side == ABOVE;
    return s->side != before;
}

static void destroy(ts_score *score)
{
    hybrid_score *s = (hybrid_score *)score;
    ts_score_destroy(s->below);
    ts_score_destroy(s->above);
    if (s->net)
        score->device->k->release(score->device, s->net);
    free(s);
}

static ts_status check(const ts_score *below, const ts_score *above)
{
    if (below->device != above->device || below->n != above->n || below->d != above->d)
        return ts_error(TS_INVALID, "hybrid score: batches of %d in %d dimensions below, of %d in %d above",
                        below->n, below->d, above->n, above->d);
    if (!below->device->k->rows_by_time)
        return ts_error(TS_UNSUPPORTED, "hybrid score: the %s device lacks rows_by_time",
                        below->device->k->name);
    return NULL;
}

ts_status ts_score_hybrid(ts_score *below, ts_score *above, double T, ts_score **score)
{
    *score = NULL;
    hybrid_score *s = calloc(1, sizeof *s);
    if (!s) {
        ts_score_destroy(below);
        ts_score_destroy(above);
        return ts_error(TS_NO_MEMORY, "hybrid score: out of memory");
    }
    *s = (hybrid_score){.base = {.name = "hybrid",
                                 .device = below->device,
                                 .n = below->n,
                                 .d = below->d,
                                 .evaluate = evaluate,
                                 .within = within,
                                 .destroy = destroy},
                        .below = below,
                        .above = above,
                        .T = (float)T};
    ts_status status = check(below, above);
    if (!status)
        status = ts_buffer_floats(below->device, (size_t)below->n * (size_t)below->d, &s->net);
    if (status)
        destroy(&s->base);
    else
        *score = &s->base;
    return ts_context(status, "hybrid score");
}
