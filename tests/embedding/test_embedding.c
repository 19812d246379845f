/*
 * Features of images: files of made-up weights for the two classifiers, run by the engine and here once more, plainly
 * and in double precision with the normalisations not folded; what is wrong with files and images; batches.  InceptionV3
 * itself is tests/golden's.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/safetensors.h"
#include "must.h"
#include "nn/feature_network.h"
#include "quality/embedding.h"

enum { MOST = 300, PATH_ROOM = 128 };

static ts_device *device;

/* ---- weights ---- */

typedef struct tensor {
    char name[128];
    int rank;
    int64_t shape[4], count;
    float *values;
} tensor;

typedef struct file {
    const char *network; /* NULL: the metadata say nothing */
    tensor tensors[MOST];
    int count;
} file;

static double uniform(void)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

/* Values on [low, high]. */
static void add(file *f, const char *name, const char *part, int rank, const int64_t *shape, double low,
                double high)
{
    tensor *const t = &f->tensors[f->count++];
    *t = (tensor){.rank = rank, .count = 1};
    snprintf(t->name, sizeof t->name, "%s%s", name, part);
    for (int i = 0; i < rank; i++)
        t->count *= t->shape[i] = shape[i];
    t->values = malloc(sizeof *t->values * (size_t)t->count);
    for (int64_t i = 0; i < t->count; i++)
        t->values[i] = (float)(low + (high - low) * uniform());
}

static void add_conv(file *f, const char *name, int co, int ci, int size)
{
    const double most = sqrt(6.0 / (ci * size * size));
    add(f, name, ".weight", 4, (int64_t[]){co, ci, size, size}, -most, most);
}

static void add_norm(file *f, const char *name, int channels)
{
    const int64_t shape[] = {channels};
    add(f, name, ".weight", 1, shape, 0.5, 1);
    add(f, name, ".bias", 1, shape, -0.2, 0.2);
    add(f, name, ".running_mean", 1, shape, -0.2, 0.2);
    add(f, name, ".running_var", 1, shape, 0.5, 2);
}

static file mnist_weights(void)
{
    file f = {.network = "mnist_cnn"};
    add_conv(&f, "conv1", 8, 1, 5);
    add(&f, "conv1", ".bias", 1, (int64_t[]){8}, -1, 1);
    add_conv(&f, "conv2", 16, 8, 5);
    add(&f, "conv2", ".bias", 1, (int64_t[]){16}, -1, 1);
    return f;
}

static file resnet_weights(void)
{
    file f = {.network = "resnet56_cifar10"};
    add_conv(&f, "conv1", 16, 3, 3);
    add_norm(&f, "bn1", 16);
    for (int i = 0; i < 27; i++) {
        const int co = 16 << i / 9, ci = i % 9 || !i ? co : co / 2;
        char name[64];
        for (int k = 1; k <= 2; k++) {
            snprintf(name, sizeof name, "layer%d.%d.conv%d", i / 9 + 1, i % 9, k);
            add_conv(&f, name, co, k == 1 ? ci : co, 3);
            snprintf(name, sizeof name, "layer%d.%d.bn%d", i / 9 + 1, i % 9, k);
            add_norm(&f, name, co);
        }
    }
    return f;
}

static void write_file(const file *f, const char *path)
{
    ts_safetensors_writer *writer;
    must(ts_safetensors_create(path, &writer));
    if (f->network)
        ts_safetensors_declare_metadata(writer, "network", f->network);
    for (int i = 0; i < f->count; i++)
        ts_safetensors_declare(writer, f->tensors[i].name, TS_ST_F32, f->tensors[i].rank,
                               f->tensors[i].shape);
    for (int i = 0; i < f->count; i++)
        must(ts_safetensors_append(writer, f->tensors[i].values,
                                   sizeof *f->tensors[i].values * (size_t)f->tensors[i].count));
    must(ts_safetensors_commit(writer));
}

static void free_file(file *f)
{
    for (int i = 0; i < f->count; i++)
        free(f->tensors[i].values);
}

static tensor *find(file *f, const char *name, const char *part)
{
    char full[80];
    snprintf(full, sizeof full, "%s%s", name, part);
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->tensors[i].name, full))
            return &f->tensors[i];
    fail_msg("no tensor %s", full);
    return NULL;
}

/* ---- the same in double precision ---- */

typedef struct plane {
    int h, w, c;
    double *v; /* [c,h,w] */
} plane;

static plane make(int h, int w, int c)
{
    return (plane){h, w, c, calloc((size_t)h * (size_t)w * (size_t)c, sizeof(double))};
}

/* Same size, or every stride-th place of it. */
static plane convolve(file *f, plane x, const char *name, int stride)
{
    const tensor *const t = find(f, name, ".weight");
    const int size = (int)t->shape[2], pad = size / 2;
    plane y = make((x.h + stride - 1) / stride, (x.w + stride - 1) / stride, (int)t->shape[0]);
    for (int o = 0; o < y.c; o++)
        for (int k = 0; k < x.c; k++)
            for (int tap = 0; tap < size * size; tap++)
                for (int i = 0; i < y.h * y.w; i++) {
                    const int p = i / y.w * stride + tap / size - pad,
                              q = i % y.w * stride + tap % size - pad;
                    if (p >= 0 && p < x.h && q >= 0 && q < x.w)
                        y.v[o * y.h * y.w + i] += (double)t->values[(o * x.c + k) * size * size + tap] *
                                                  x.v[(k * x.h + p) * x.w + q];
                }
    return y;
}

static void normalise(file *f, plane x, const char *name)
{
    const float *const gamma = find(f, name, ".weight")->values, *const beta = find(f, name, ".bias")->values;
    const float *const mean = find(f, name, ".running_mean")->values, *const var =
                                                                          find(f, name, ".running_var")
                                                                              ->values;
    for (int i = 0; i < x.c * x.h * x.w; i++) {
        const int k = i / x.h / x.w;
        x.v[i] = gamma[k] * (x.v[i] - mean[k]) / sqrt((double)var[k] + 1e-5) + beta[k];
    }
}

static void rectify(plane x)
{
    for (int i = 0; i < x.c * x.h * x.w; i++)
        x.v[i] = x.v[i] > 0 ? x.v[i] : 0;
}

static plane largest(plane x, int size)
{
    plane y = make(x.h / size, x.w / size, x.c);
    for (int i = 0; i < y.c * y.h * y.w; i++) {
        const int k = i / y.h / y.w, p = i / y.w % y.h * size, q = i % y.w * size;
        y.v[i] = x.v[(k * x.h + p) * x.w + q];
        for (int j = 0; j < size * size; j++)
            y.v[i] = fmax(y.v[i], x.v[(k * x.h + p + j / size) * x.w + q + j % size]);
    }
    free(x.v);
    return y;
}

static plane block(file *f, plane x, const char *name, bool halve)
{
    char part[64];
    snprintf(part, sizeof part, "%s.conv1", name);
    const plane first = convolve(f, x, part, halve ? 2 : 1);
    snprintf(part, sizeof part, "%s.bn1", name);
    normalise(f, first, part);
    rectify(first);
    snprintf(part, sizeof part, "%s.conv2", name);
    const plane y = convolve(f, first, part, 1);
    snprintf(part, sizeof part, "%s.bn2", name);
    normalise(f, y, part);
    const int step = halve ? 2 : 1, before = halve ? x.c / 2 : 0;
    for (int i = 0; i < x.c * y.h * y.w; i++)
        y.v[before * y.h * y.w + i] +=
            x.v[(i / y.h / y.w * x.h + i / y.w % y.h * step) * x.w + i % y.w * step];
    rectify(y);
    free(first.v);
    free(x.v);
    return y;
}

static void resnet_reference(file *f, const uint8_t *image, double features[64])
{
    static const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
    const plane pixels = make(32, 32, 3);
    for (int i = 0; i < 3 * 1024; i++)
        pixels.v[i] = (image[i % 1024 * 3 + i / 1024] / 255.0 - mean[i / 1024]) / deviation[i / 1024];
    plane x = convolve(f, pixels, "conv1", 1);
    free(pixels.v);
    normalise(f, x, "bn1");
    rectify(x);
    for (int i = 0; i < 27; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer%d.%d", i / 9 + 1, i % 9);
        x = block(f, x, name, i == 9 || i == 18);
    }
    for (int k = 0; k < 64; k++) {
        features[k] = 0;
        for (int i = 0; i < 64; i++)
            features[k] += x.v[k * 64 + i] / 64;
    }
    free(x.v);
}

static plane biased(file *f, plane x, const char *name)
{
    const plane y = convolve(f, x, name, 1);
    for (int i = 0; i < y.c * y.h * y.w; i++)
        y.v[i] += (double)find(f, name, ".bias")->values[i / y.h / y.w];
    rectify(y);
    free(x.v);
    return y;
}

static void mnist_reference(file *f, const uint8_t *image, double features[256])
{
    plane x = make(28, 28, 1);
    for (int i = 0; i < 784; i++)
        x.v[i] = image[i];
    x = largest(biased(f, x, "conv1"), 2);
    x = largest(biased(f, x, "conv2"), 3);
    for (int i = 0; i < 256; i++) /* [4,4,16] of [16,4,4] */
        features[i] = x.v[i % 16 * 16 + i / 16];
    free(x.v);
}

static void assert_features(const float *features, const double *wanted, int count)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < count; i++) {
        difference += ((double)features[i] - wanted[i]) * ((double)features[i] - wanted[i]);
        norm += wanted[i] * wanted[i];
    }
    if (!(norm > 0) || !(sqrt(difference / norm) < 1e-5))
        fail_msg("features are off by %g of their norm %g", sqrt(difference / norm), sqrt(norm));
}

/* ---- the tests ---- */

static char *file_of(const char *name)
{
    static char path[PATH_ROOM];
    snprintf(path, sizeof path, "embedding_%s.safetensors", name);
    return path;
}

static uint8_t *some_images(int64_t bytes)
{
    uint8_t *const images = malloc((size_t)bytes);
    for (int64_t i = 0; i < bytes; i++)
        images[i] = (uint8_t)(256 * uniform());
    return images;
}

static void classifiers_are_themselves(void **state)
{
    (void)state;
    file mnist = mnist_weights(), resnet = resnet_weights();
    ts_embedding *e;
    float features[3 * 256];
    double wanted[256];
    write_file(&mnist, file_of("mnist"));
    write_file(&resnet, file_of("resnet"));

    uint8_t *images = some_images(3 * 784);
    must(ts_embedding_open(device, file_of("mnist"), 28, 28, 1, &e));
    assert_string_equal(ts_embedding_name(e), "mnist_cnn");
    assert_int_equal(ts_embedding_count(e), 256);
    must(ts_embedding_of(e, images, 3, NULL, features));
    for (int i = 0; i < 3; i++) {
        mnist_reference(&mnist, images + i * 784, wanted);
        assert_features(features + i * 256, wanted, 256);
    }
    ts_embedding_close(e);
    free(images);

    images = some_images(2 * 3072);
    must(ts_embedding_open(device, file_of("resnet"), 32, 32, 3, &e));
    assert_string_equal(ts_embedding_name(e), "resnet56_cifar10");
    assert_int_equal(ts_embedding_count(e), 64);
    must(ts_embedding_of(e, images, 2, NULL, features));
    for (int i = 0; i < 2; i++) {
        resnet_reference(&resnet, images + i * 3072, wanted);
        assert_features(features + i * 64, wanted, 64);
    }
    ts_embedding_close(e);
    free(images);
    free_file(&mnist);
    free_file(&resnet);
}

/* How many there are, and which stand beside it, is nothing to an image's features. */
static void batches_do_not_matter(void **state)
{
    (void)state;
    enum { N = 37, SIDE = 8, COUNT = 256 };
    file mnist = mnist_weights();
    ts_embedding *e;
    float *const all = malloc(sizeof *all * N * COUNT), one[COUNT];
    uint8_t *const images = some_images((int64_t)N * SIDE * SIDE);
    write_file(&mnist, file_of("batches"));
    must(ts_embedding_open(device, file_of("batches"), SIDE, SIDE, 1, &e));
    must(ts_embedding_of(e, images, N, NULL, all));
    for (int i = 0; i < N; i += 5) {
        must(ts_embedding_of(e, images + i * SIDE * SIDE, 1, NULL, one));
        assert_memory_equal(one, all + i * COUNT, sizeof one);
    }
    must(ts_embedding_of(e, images, 0, NULL, one));
    ts_embedding_close(e);
    free(images);
    free(all);
    free_file(&mnist);
}

static void grey_is_repeated(void **state)
{
    (void)state;
    enum { N = 3, SIDE = 20, COUNT = 64 };
    file resnet = resnet_weights();
    ts_embedding *e;
    float of_grey[N * COUNT], of_colour[N * COUNT];
    uint8_t *const grey = some_images(N * SIDE * SIDE), colour[3 * N * SIDE * SIDE];
    for (int i = 0; i < 3 * N * SIDE * SIDE; i++)
        colour[i] = grey[i / 3];
    write_file(&resnet, file_of("grey"));
    must(ts_embedding_open(device, file_of("grey"), SIDE, SIDE, 1, &e));
    must(ts_embedding_of(e, grey, N, NULL, of_grey));
    ts_embedding_close(e);
    must(ts_embedding_open(device, file_of("grey"), SIDE, SIDE, 3, &e));
    must(ts_embedding_of(e, colour, N, NULL, of_colour));
    ts_embedding_close(e);
    assert_memory_equal(of_grey, of_colour, sizeof of_grey);
    free(grey);
    free_file(&resnet);
}

typedef struct counting {
    ts_progress base;
    volatile sig_atomic_t stop;
    int calls, stop_after;
    double done, total;
} counting;

static void count_call(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                       const char *note)
{
    counting *const c = (counting *)progress;
    (void)note;
    assert_string_equal(phase, "features");
    assert_string_equal(unit, "images");
    c->done = done;
    c->total = total;
    c->stop = ++c->calls == c->stop_after;
}

static void work_is_told_and_ends(void **state)
{
    (void)state;
    enum { N = 40 };
    file mnist = mnist_weights();
    ts_embedding *e;
    counting c = {.base = {.update = count_call}};
    c.base.stop = &c.stop;
    float *const features = malloc(sizeof *features * N * 256);
    uint8_t *const images = some_images(N * 784);
    write_file(&mnist, file_of("progress"));
    must(ts_embedding_open(device, file_of("progress"), 28, 28, 1, &e));
    must(ts_embedding_of(e, images, N, &c.base, features));
    assert_true(c.calls > 2 && c.done == N && c.total == N);
    c.calls = 0, c.stop_after = 2;
    must_fail(ts_embedding_of(e, images, N, &c.base, features), TS_INTERRUPTED, "of 40 images");
    ts_embedding_close(e);
    free(features);
    free(images);
    free_file(&mnist);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    file f = mnist_weights();
    const char *const path = file_of("wrong");
    ts_embedding *e;
    must_fail(ts_embedding_open(device, "embedding_no.safetensors", 28, 28, 1, &e), TS_NOT_FOUND,
              "embedding_no.safetensors");
    write_file(&f, path);
    must_fail(ts_embedding_open(device, path, 28, 28, 3, &e), TS_INVALID,
              "mnist_cnn takes images of 1 channel, these have 3");
    must_fail(ts_embedding_open(device, path, 0, 28, 1, &e), TS_INVALID, "images of 0x28");
    must_fail(ts_embedding_open(device, path, 1 << 20, 1 << 20, 1, &e), TS_INVALID,
              "images of 1048576x1048576");
    f.network = NULL;
    write_file(&f, path);
    must_fail(ts_embedding_open(device, path, 28, 28, 1, &e), TS_FORMAT,
              "inception, mnist_cnn or resnet56_cifar10");
    f.network = "vgg";
    write_file(&f, path);
    must_fail(ts_embedding_open(device, path, 28, 28, 1, &e), TS_FORMAT, "\"vgg\", expected inception");
    f.network = "inception";
    write_file(&f, path);
    must_fail(ts_embedding_open(device, path, 28, 28, 1, &e), TS_INVALID, "Conv2d_1a_3x3.conv.weight");
    f.network = "mnist_cnn";
    f.count--;
    write_file(&f, path);
    must_fail(ts_embedding_open(device, path, 28, 28, 1, &e), TS_INVALID, "conv2.bias");
    f.count++;
    f.tensors[2].shape[1] = 4, f.tensors[2].shape[0] = 32;
    write_file(&f, path);
    must_fail(ts_embedding_open(device, path, 28, 28, 1, &e), TS_INVALID, "should be F32 [16,8,5,5]");
    assert_null(e);
    free_file(&f);
}

static void variances_are_checked(void **state)
{
    (void)state;
    file f = resnet_weights();
    ts_embedding *e;
    find(&f, "layer2.3.bn1", ".running_var")->values[7] = -1;
    write_file(&f, file_of("variance"));
    must_fail(ts_embedding_open(device, file_of("variance"), 32, 32, 3, &e), TS_FORMAT,
              "layer2.3.bn1.running_var: value 7 is no variance");
    free_file(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifiers_are_themselves), cmocka_unit_test(batches_do_not_matter),
        cmocka_unit_test(grey_is_repeated),           cmocka_unit_test(work_is_told_and_ends),
        cmocka_unit_test(wrong_files_are_refused),    cmocka_unit_test(variances_are_checked),
    };
    must(ts_device_open("cpu", &(ts_device_options){.threads = 2}, &device));
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ts_device_close(device);
    return failed;
}
