/*
 * Model builders: each declares a model's parameters once and appends its computation to graphs of any batch
 * size.  No arithmetic of their own but that of initial values.
 *
 * What lives in this folder: a model a file, each a `create` that declares parameters under their public
 * names and an `apply` that reads like the formula, the shape [n,h,w,c] at each line that changes it; of
 * the U-Net unet_plan.c declares and unet.c applies, of blocks.* and resample.c, which know no network;
 * networks.c, the table of networks.  Trained networks that look at images are apart: feature_network.h.
 *
 * Invariants: activations are NHWC; vectors are images of one pixel, [n,1,1,c].  A model owns its table of
 * parameter handles; the parameters themselves belong to `params`, the tensors to the graph.  The order in
 * which parameters are declared is part of the format: it numbers the draws of their initial values.  An
 * apply walks the modules in the order in which create declared them.
 */
#ifndef TS_NN_NN_H
#define TS_NN_NN_H

#include "base/kinds.h"
#include "graph/graph.h"

/*
 * The U-Net of score_sde (Song et al. 2021; its `ncsnpp`), noise-conditioned. All fields that follow
 * `dropout` zero, it is DDPM++. Names follow the public checkpoints ("all_modules.N....").
 */
typedef struct ts_unet_config {
    int height, width, channels;
    int nf;                 /* base width */
    int levels, ch_mult[8]; /* widths are nf * ch_mult[level] */
    int num_res_blocks;
    int attn_count, attn_resolutions[8]; /* heights at which attention follows each block */
    float dropout;
    ts_sde sde; /* VE: the network is told sigma(t), and what predicts the noise computes the score */
    ts_predicts_kind predicts;
    ts_time_input_kind time_input;
    bool unit_data;      /* x is of [0,1], not [-1,1]: the network begins with 2 x - 1 */
    bool scale_by_sigma; /* VE: a score is what comes out divided by sigma(t) */
    bool fourier;        /* embedding by random Fourier features, not sinusoids */
    float fourier_scale; /* standard deviation of their frequencies */
    int fir_taps;        /* of the filter that resamples; 0: mean of 2x2 and nearest neighbour */
    float fir[TS_FIR_TAPS];
    ts_progressive_input_kind input; /* how the input comes in again at every level (progressive_input) */
    bool combine_cat;                /* as a skip: beside h, not added to it */
    bool output_skip;                /* every level adds to the output (progressive) */
    bool ddpm_blocks;                /* residual blocks of DDPM, not BigGAN: they do not resample */
    bool plain_sums;                 /* x + h, not (x + h)/sqrt 2 */
} ts_unet_config;

typedef struct ts_unet ts_unet;

/* Declares the parameters in `params`.  Errors: sizes the levels do not divide, odd nf, ... */
ts_status ts_unet_create(const ts_unet_config *config, ts_params *params, ts_unet **unet);
void ts_unet_destroy(ts_unet *unet);
/* Appends the network: x [n,h,w,channels], t [n] -> what it predicts, same shape as x; where that is the noise
 * it is under VE -sigma(t) times the score that the public network returns.  `training` switches dropout
 * on. */
ts_tensor ts_unet_apply(const ts_unet *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training);

/* Residual MLP on vectors: input and time embedding to `hidden`, `blocks` times h = (h + W2 silu(W1
 * silu(gn(h)) + temb)) / sqrt 2, zero-initialised output layer. x is [n,1,1,dim]. */
typedef struct ts_mlp_config {
    int dim, hidden, blocks;
    ts_sde sde;
    ts_time_input_kind time_input; /* t: 999 t, whatever the SDE */
} ts_mlp_config;

typedef struct ts_mlp ts_mlp;
ts_status ts_mlp_create(const ts_mlp_config *config, ts_params *params, ts_mlp **mlp);
void ts_mlp_destroy(ts_mlp *mlp);
ts_tensor ts_mlp_apply(const ts_mlp *mlp, ts_graph *graph, ts_tensor x, ts_tensor t);

/*
 * The networks, which predict the noise, v or x0: one table, a row a kind of model.  What has no `create` is no network
 * (the exact score).
 */
typedef struct ts_network_config {
    int h, w, c;
    ts_unet_config unet; /* all but its shape */
    ts_mlp_config mlp;
} ts_network_config;

/* Appends net(x, t) to a graph: x [n,h,w,c], t [n] -> [n,h,w,c]. */
typedef ts_tensor ts_network_apply(const void *network, ts_graph *graph, ts_tensor x, ts_tensor t,
                                   bool training);

typedef struct ts_network_row {
    bool vectors; /* takes vectors; else images */
    bool
        pyramids; /* has NCSN++'s embedding, filters and pyramids (the keys that say "ncsnpp"); else DDPM++'s */
    ts_status (*create)(const ts_network_config *config, ts_params *params, void **network);
    void (*destroy)(void *network);
    ts_network_apply *apply;
} ts_network_row;

extern const ts_network_row ts_networks[TS_MODEL_COUNT];

/*
 * Glow (Kingma and Dhariwal 2018): L levels of squeeze, K steps, split; affine coupling, learned top prior.
 * Names follow the public implementation ("flow.layers.N....", "learn_top_fn....").
 *
 * Whitened, it has no splits: all of x goes through all levels, back into the layout of an image, f(x), and is
 * whitened, and what comes is N(0, I).  It begins with f the identity, so as the Gaussian that it is whitened by.
 */
typedef struct ts_glow_config {
    int height, width, channels;
    int levels, steps;          /* L, K */
    int hidden;                 /* channels of the coupling networks */
    const ts_whiten *whitening; /* its process, Gaussian and d, which outlive the flow; NULL: none */
    bool conditional;           /* one density for each t: networks and actnorms are told Lambda(t) */
    ts_sde sde;                 /* then: of Lambda, and the times that are */
    double t_min, t_max;
} ts_glow_config;

typedef struct ts_glow ts_glow;
ts_status ts_glow_create(const ts_glow_config *config, ts_params *params, uint64_t seed, ts_glow **glow);
void ts_glow_destroy(ts_glow *glow);
/* x [n,h,w,c] -> log-density [n]; *z_top, if wanted, gets the top latent [n,h/2^L,w/2^L,c 2^(L+1)], whitened all of
 * y [n,h,w,c].  t [n]: the times of the rows, by which they are whitened and of which a conditional
 * flow is told; may be -1 where neither is. */
ts_tensor ts_glow_log_prob(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor t, ts_tensor *z_top);
/* Draws x [n,h,w,c], or decodes z_top when it is not -1 (split latents at `temperature`). */
ts_tensor ts_glow_sample(const ts_glow *glow, ts_graph *graph, int n, ts_tensor t, ts_tensor z_top,
                         float temperature, const ts_step_state *state, uint32_t stream);

#endif
