#include "run/exchange/outputs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/decimal.h"
#include "base/file.h"
#include "base/safetensors.h"
#include "diffusion/buffer.h"

typedef struct outputs {
    const ts_run *run;
    ts_progress *progress;
    const char *in;
    int n, h, w, c, rank;
    int64_t shape[TS_SAFETENSORS_RANK]; /* of x and net */
    double *x, *t;                      /* [n,c,h,w], [n] */
    float *net;                         /* [n,c,h,w] */
    int batch;
    float *rows, *times;        /* host: a batch [batch,h,w,c], [batch] */
    float *device_x, *device_t; /* the same on the device */
    bool score;                 /* what is wanted is the score, not the noise */
} outputs;

/* ---- reading ---- */

/* Vectors are [n,d], or images of one pixel. */
static ts_status check_shape(const outputs *o, const ts_safetensors_info *x)
{
    const bool vectors = o->h * o->w == 1;
    const int64_t *s = x->shape;
    const bool right =
        vectors && x->rank == 2 ? s[1] == o->c : x->rank == 4 && s[1] == o->c && s[2] == o->h && s[3] == o->w;
    char should[64], is[96] = "";
    if (right && s[0] >= 1 && s[0] <= INT_MAX)
        return NULL;
    snprintf(should, sizeof should, vectors ? "[n,%d]" : "[n,%d,%d,%d]", o->c, o->h, o->w);
    for (int i = 0, at = 0; i < x->rank && at < 70; i++)
        at += snprintf(is + at, sizeof is - (size_t)at, "%s%lld", i ? "," : "", (long long)s[i]);
    return ts_error(TS_INVALID, "%s: tensor x is [%s], should be %s, n from 1", o->in, is, should);
}

/* A network knows the times that it was trained on alone; those of the file may be float32. */
static ts_status check_times(const outputs *o)
{
    const float low = (float)o->run->config->train.eps, high = (float)o->run->reach;
    char least[32], most[32];
    for (int i = 0; i < o->n; i++) {
        if ((float)o->t[i] >= low && (float)o->t[i] <= high)
            continue;
        ts_decimal(o->run->config->train.eps, least);
        ts_decimal(o->run->reach, most);
        return ts_error(TS_INVALID, "%s: t[%d] = %g, should lie in [%s, %s], from train.eps to train.T",
                        o->in, i, o->t[i], least, most);
    }
    return NULL;
}

static ts_status read_inputs(outputs *o, ts_safetensors *file)
{
    const ts_safetensors_info *x, *t;
    TS_TRY(ts_safetensors_read_doubles(file, "x", &o->x, &x));
    TS_TRY(check_shape(o, x));
    o->n = (int)x->shape[0];
    o->rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        o->shape[i] = x->shape[i];
    TS_TRY(ts_safetensors_read_doubles(file, "t", &o->t, &t));
    if (t->rank != 1 || t->count != o->n)
        return ts_error(TS_INVALID,
                        "%s: tensor t has %lld values, should have shape [%d], one for each row of x", o->in,
                        (long long)t->count, o->n);
    return check_times(o);
}

static ts_status read_file(outputs *o)
{
    ts_safetensors *file;
    TS_TRY(ts_safetensors_open(o->in, &file));
    ts_status status = read_inputs(o, file);
    ts_safetensors_close(file);
    return status;
}

/* ---- evaluating ---- */

/* Row i of the file to row k of a batch. */
static void take_row(const outputs *o, int i, int k)
{
    const int hw = o->h * o->w;
    const double *x = o->x + (int64_t)i * hw * o->c;
    float *row = o->rows + (int64_t)k * hw * o->c;
    for (int c = 0; c < o->c; c++)
        for (int p = 0; p < hw; p++)
            row[p * o->c + c] = (float)x[c * hw + p];
    o->times[k] = (float)o->t[i];
}

/* And back. */
static void put_row(const outputs *o, int i, int k)
{
    const int hw = o->h * o->w;
    const float *row = o->rows + (int64_t)k * hw * o->c;
    float *net = o->net + (int64_t)i * hw * o->c;
    const double scale = o->score ? -1 / ts_sde_std(&o->run->model->sde, (double)o->times[k]) : 1;
    for (int c = 0; c < o->c; c++)
        for (int p = 0; p < hw; p++)
            net[c * hw + p] = (float)(scale * (double)row[p * o->c + c]);
}

/* Rows first .. first + batch, of which those beyond the last repeat it. */
static ts_status evaluate_batch(outputs *o, ts_score *score, int first)
{
    ts_device *device = o->run->device;
    const size_t bytes = (size_t)o->batch * (size_t)(o->h * o->w * o->c) * sizeof(float);
    const float *net;
    for (int k = 0; k < o->batch; k++)
        take_row(o, first + k < o->n ? first + k : o->n - 1, k);
    TS_TRY(device->k->upload(device, o->device_x, o->rows, bytes));
    TS_TRY(device->k->upload(device, o->device_t, o->times, (size_t)o->batch * sizeof *o->times));
    TS_TRY(score->evaluate(score, o->device_x, o->device_t, &net));
    TS_TRY(device->k->synchronize(device));
    TS_TRY(device->k->download(device, o->rows, net, bytes));
    for (int k = 0; k < o->batch && first + k < o->n; k++)
        put_row(o, first + k, k);
    return NULL;
}

static ts_status evaluate_all(outputs *o, ts_score *score)
{
    for (int first = 0; first < o->n; first += o->batch) {
        if (ts_progress_stopped(o->progress))
            return ts_error(TS_INTERRUPTED, "score: interrupted");
        TS_TRY(evaluate_batch(o, score, first));
        ts_progress_report(o->progress, "score", first + o->batch < o->n ? first + o->batch : o->n, o->n,
                           "rows", NULL);
    }
    return NULL;
}

static void release_batch(outputs *o)
{
    ts_device *device = o->run->device;
    device->k->release(device, o->device_x);
    device->k->release(device, o->device_t);
    free(o->rows);
    free(o->times);
    o->device_x = o->device_t = o->rows = o->times = NULL;
}

static ts_status run_batches(outputs *o)
{
    ts_device *device = o->run->device;
    const size_t elements = (size_t)o->batch * (size_t)(o->h * o->w * o->c);
    ts_score *score = NULL;
    ts_status status;
    o->rows = malloc(elements * sizeof *o->rows);
    o->times = malloc((size_t)o->batch * sizeof *o->times);
    if (!o->rows || !o->times)
        return ts_error(TS_NO_MEMORY, "no memory for a batch of %d", o->batch);
    TS_TRY(ts_buffer_floats(device, elements, &o->device_x));
    TS_TRY(ts_buffer_floats(device, (size_t)o->batch, &o->device_t));
    TS_TRY(ts_model_output(o->run->model, o->batch, &score));
    status = evaluate_all(o, score);
    ts_score_destroy(score);
    return status;
}

/* In batches of bound.batch, or of as many as memory allows. */
static ts_status evaluate(outputs *o)
{
    ts_status status;
    o->net = malloc((size_t)o->n * (size_t)(o->h * o->w * o->c) * sizeof *o->net);
    if (!o->net)
        return ts_error(TS_NO_MEMORY, "no memory for the outputs of %d rows", o->n);
    o->batch = o->run->config->bound.batch < o->n ? o->run->config->bound.batch : o->n;
    for (;; o->batch /= 2) {
        status = run_batches(o);
        release_batch(o);
        if (ts_status_code(status) != TS_NO_MEMORY || o->batch == 1)
            return status;
        ts_status_free(status);
    }
}

/* ---- writing ---- */

static ts_status write_file(const outputs *o, const char *out, const char *what)
{
    ts_safetensors_writer *writer;
    TS_TRY(ts_safetensors_create(out, &writer));
    ts_safetensors_declare_metadata(writer, "net", what);
    ts_safetensors_declare(writer, "net", TS_ST_F32, o->rank, o->shape);
    ts_status status =
        ts_safetensors_append(writer, o->net, (size_t)o->n * (size_t)(o->h * o->w * o->c) * sizeof *o->net);
    if (!status)
        return ts_safetensors_commit(writer);
    ts_safetensors_abandon(writer);
    return status;
}

ts_status ts_outputs_write(const ts_run *run, const char *in, const char *out, ts_progress *progress,
                           ts_outputs *result)
{
    const ts_model *model = run->model;
    outputs o = {.run = run,
                 .progress = progress,
                 .in = in,
                 .h = model->h,
                 .w = model->w,
                 .c = model->c,
                 .score = model->sde.kind == TS_SDE_VE && model->predicts == TS_PREDICTS_NOISE};
    if (ts_file_same(in, out))
        return ts_error(TS_INVALID, "%s: is the file of the inputs; write to another", out);
    TS_TRY(ts_run_spare(run, out));
    *result = (ts_outputs){.net = o.score ? "score" : ts_predicts_kind_words.word[model->predicts]};
    ts_status status = read_file(&o);
    if (!status)
        status = evaluate(&o);
    if (!status)
        status = write_file(&o, out, result->net);
    result->count = o.n;
    free(o.x);
    free(o.t);
    free(o.net);
    return status;
}
