/*
 * The exact score of a mixture under the forward process, behind the same interface as a network.
 */
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/score.h"

typedef struct mixture_score {
    ts_score base;
    ts_mixture_evaluate arguments; /* x and t are copies of the last evaluation's, for vjp */
    float *x, *t, *net, *vjp;
} mixture_score;

static ts_status evaluate(ts_score *score, const float *x, const float *t, const float **net)
{
    mixture_score *m = (mixture_score *)score;
    ts_device *device = score->device;
    TS_TRY(device->k->copy(device, m->x, x, (size_t)score->n * score->d * sizeof *x));
    TS_TRY(device->k->copy(device, m->t, t, (size_t)score->n * sizeof *t));
    ts_mixture_evaluate a = m->arguments;
    a.net = m->net;
    *net = m->net;
    return device->k->mixture_evaluate(device, &a);
}

static ts_status vjp(ts_score *score, const float *v, const float **dx)
{
    mixture_score *m = (mixture_score *)score;
    ts_mixture_evaluate a = m->arguments;
    a.v = v;
    a.vjp = m->vjp;
    *dx = m->vjp;
    return score->device->k->mixture_evaluate(score->device, &a);
}

static void destroy(ts_score *score)
{
    mixture_score *m = (mixture_score *)score;
    const ts_kernels *k = score->device->k;
    k->release(score->device, m->x);
    k->release(score->device, m->t);
    k->release(score->device, m->net);
    k->release(score->device, m->vjp);
    free(m);
}

static ts_status allocate(mixture_score *m)
{
    ts_device *device = m->base.device;
    const size_t n = (size_t)m->base.n, count = n * (size_t)m->base.d;
    TS_TRY(ts_buffer_floats(device, count, &m->x));
    TS_TRY(ts_buffer_floats(device, n, &m->t));
    TS_TRY(ts_buffer_floats(device, count, &m->net));
    return ts_buffer_floats(device, count, &m->vjp);
}

ts_status ts_score_mixture(const ts_mixture *mixture, const ts_sde *sde, int n, ts_score **score)
{
    *score = NULL;
    ts_device *device = mixture->device;
    if (n < 1)
        return ts_error(TS_INVALID, "mixture score: a batch of %d", n);
    if (!device->k->mixture_evaluate)
        return ts_error(TS_UNSUPPORTED, "mixture score: the %s device lacks mixture_evaluate",
                        device->k->name);
    mixture_score *m = calloc(1, sizeof *m);
    if (!m)
        return ts_error(TS_NO_MEMORY, "mixture score: out of memory");
    m->base = (ts_score){.name = "mixture",
                         .device = device,
                         .n = n,
                         .d = mixture->d,
                         .evaluate = evaluate,
                         .vjp = vjp,
                         .destroy = destroy};
    ts_status status = allocate(m);
    if (status) {
        destroy(&m->base);
        return ts_context(status, "mixture score");
    }
    m->arguments = (ts_mixture_evaluate){.n = n, .sde = *sde, .mixture = mixture->view, .x = m->x, .t = m->t};
    *score = &m->base;
    return NULL;
}
