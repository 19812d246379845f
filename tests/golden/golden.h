/*
 * A golden file: numbers of an independent program that the engine must reproduce.  Every tensor in it must
 * be asked for, by golden_read or golden_check, or the test fails.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "base/safetensors.h"
#include "diffusion/score.h"
#include "nn/nn.h"
#include "rule.h"

#define GOLDEN_ROUNDING (0.42 * 0x1p-8) /* of bfloat16, relative, root mean square */

/* Squares of what moved weights do to a tensor: their mean over draws, and the largest. */
typedef struct golden_moved {
    double mean, largest;
} golden_moved;

typedef struct golden {
    ts_safetensors *file;
    ts_device *device;
    int checked, failed;
    double gradient_scale; /* norm of the whole reference gradient under test; see GOLDEN_GRADIENT */
    int gradient_tensors;  /* how many it consists of */
    golden_moved *moved;   /* in reduced precision: of each tensor, see test_golden.c; else NULL */
    uint64_t draw;         /* 0: the engine's numbers are checked; else they fill `moved` */
    rule_parameter
        *rule; /* the parameters, where a rule makes the weights and gradients are sketches; else NULL */
    int rule_count;
    double fourier_scale;
} golden;

typedef enum golden_kind {
    GOLDEN_FORWARD,  /* outputs, losses */
    GOLDEN_OUTPUT,   /* outputs; in bfloat16 by what moved weights and inputs do */
    GOLDEN_FEATURES, /* of images, by a network that is too large to draw moved weights for */
    GOLDEN_CLOSED,   /* closed forms, in double whatever the activations, of data in float32 */
    GOLDEN_GRADIENT, /* per tensor; a tensor whose true gradient is (next to) zero is judged against
                        golden.gradient_scale and gradient_tensors */
    GOLDEN_ODE,      /* ODE end points */
    GOLDEN_ROUGH_ODE /* the same where a rule makes the weights: such networks' ODEs are rough */
} golden_kind;

/* Metadata: a missing or malformed key is a fatal error of the test that names it. */
const char *golden_string(const golden *g, const char *key); /* NULL: no such */
double golden_number(const golden *g, const char *key);
int golden_integers(const golden *g, const char *key, int limit, int *values); /* "[1, 2]"; how many */

/* A tensor as new doubles (free it), in the file's layout; shape [rank <= 8]; returns the element count.  A
 * missing tensor is fatal.  golden_has asks first. */
bool golden_has(const golden *g, const char *name);
int64_t golden_read(golden *g, const char *name, double **values, int64_t *shape);

/* Marks the tensors whose names match the shell pattern as read: they are not compared, and `why` is said. */
void golden_leave(golden *g, const char *pattern, const char *why);

/* Compares values (the file's layout) with the tensor `name`, prints one line, counts a failure.  Marks it as
 * read. */
void golden_check(golden *g, const char *name, const double *values, int64_t count, golden_kind kind);

/* The same for numbers that each may be wrong by `tolerance`. */
void golden_check_absolute(golden *g, const char *name, const double *values, int64_t count,
                           double tolerance);

/* Compares a count of evaluations with the metadata: a tenth more or less is right. */
void golden_check_evaluations(golden *g, const char *key, int nfe);

/* Compares a number of the metadata. */
void golden_check_number(golden *g, const char *key, double value, double tolerance);

/* Compares the sketch (see rule.h) of a gradient of `count` numbers; `zero`: the true one is zero. */
void golden_check_sketch(golden *g, const char *name, const double sketch[5], int64_t count, bool zero);

/* weights.c.  golden_read_rule: where the metadata name a rule, reads its list of parameters and checks that
 * the weights it makes are those that the file was made with.  golden_rule_index: -1: the list has no such
 * name. */
void golden_read_rule(golden *g);
int golden_rule_index(const golden *g, const char *name);

/* Sets every parameter NAME to "model.NAME" of the file, or to what the rule makes; names and shapes must
 * match both ways. */
void golden_load_params(golden *g, ts_params *params);

/* In a draw: moves each value at random as one rounding of bfloat16 would. */
void golden_move(const golden *g, uint32_t stream, int64_t count, float *values);

/* gradients.c.  Compares all gradients with "PREFIX NAME" (PREFIX "sketch." NAME), and their norm where the
 * file has it. */
int64_t golden_count(const ts_param_info *info); /* how many numbers a parameter has */
void golden_check_gradients(golden *g, const ts_params *params, const char *prefix);

/* Float32 of the host <-> activations of the device, whatever their type. */
void golden_upload(golden *g, void *activations, const float *host, int64_t count);
void golden_download(golden *g, float *host, const void *activations, int64_t count);

/* Images [n,c,h,w] <-> [n,h,w,c]. */
void golden_to_nhwc(const double *nchw, int n, int c, int h, int w, float *nhwc);
void golden_to_nchw(const float *nhwc, int n, int c, int h, int w, double *nchw);

/* Ends the program with a message when `status` is an error. */
void golden_must(ts_status status);

/* Zeroed memory; without any the program ends with a message. */
void *golden_allocate(size_t count, size_t size);

/* The network that the metadata describe, for images as in the tensor of that name. */
void golden_unet_config(golden *g, const char *images, ts_unet_config *config);

/* The checks by kind.  golden_ode: ode.* and likelihood.* of a network's file; score (batch n, with vjp)
 * belongs to the caller; h, w, c are the image's. */
void golden_unet(golden *g);                                                         /* unet.c */
void golden_ode(golden *g, ts_score *score, const ts_sde *sde, int h, int w, int c); /* ode.c */
void golden_checkpoint(golden *g);                                                   /* checkpoint.c */
void golden_glow(golden *g);                                                         /* glow.c */
void golden_gaussian(golden *g);                                                     /* gaussian.c */
void golden_dpmixture(golden *g);                                                    /* dpmixture.c */
void golden_samplers(golden *g);                                                     /* samplers.c */
void golden_inception(golden *g);                                                    /* inception.c */

#endif
