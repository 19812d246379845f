/*
 * A score, as the noise it predicts: net(x, t) with grad log p_t(x) = -net / s(t) (VP and sub-VP; Song et
 * al. 2021).  Three kinds: the network, the exact score of a mixture, and one below a time, another above.  Batch size
 * is fixed at creation.
 */
#ifndef TS_DIFFUSION_SCORE_H
#define TS_DIFFUSION_SCORE_H

#include "nn/nn.h"
#include "diffusion/mixture.h"

typedef struct ts_score ts_score;

struct ts_score {
    const char *name; /* "network", "mixture", "hybrid" */
    ts_device *device;
    int n, d;
    /* x [n,d], t [n] (device, float32); *net gets a device address valid until the next call. */
    ts_status (*evaluate)(ts_score *score, const float *x, const float *t, const float **net);
    /* After evaluate: *dx = J^T v with J = d net / d x, v [n,d]. NULL where there is none. */
    ts_status (*vjp)(ts_score *score, const float *v, const float **dx);
    /* Says between which t the evaluations to come lie, until it says otherwise; before the first time they may lie
     * anywhere.  True: other operations than before are queued from here on, so that no recording of them holds.  NULL:
     * nothing depends on it. */
    bool (*within)(ts_score *score, double low, double high);
    bool idle; /* such evaluations do not ask the network */
    void (*destroy)(ts_score *score);
};

/* A forward graph of the network for batches of n images [h,w,c]; with `gradient`, vjp works. */
ts_status ts_score_network(ts_device *device, ts_params *params, ts_network_apply *apply, const void *model,
                           int n, int h, int w, int c, bool gradient, ts_score **score);
ts_status ts_score_mixture(const ts_mixture *mixture, const ts_sde *sde, int n, ts_score **score);
/* `above` where t > T, `below` elsewhere, row by row; what lies on one side alone is evaluated alone.  Takes over both,
 * also when it fails. */
ts_status ts_score_hybrid(ts_score *below, ts_score *above, double T, ts_score **score);
void ts_score_destroy(ts_score *score);

#endif
