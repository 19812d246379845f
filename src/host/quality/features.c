#include "quality/features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/safetensors.h"
#include "quality/principal.h"
#include "quality/threads.h"

enum { MOST_IMAGES = 2048 };

/* clang-format off */
const ts_features_row ts_features_rows[TS_FEATURES_COUNT] = {
    [TS_FEATURES_COORDINATES] = {"the coordinates themselves", 256, false, 0, 2},
    [TS_FEATURES_PIXELS]      = {"the pixels themselves", 256, true, 0, 2},
    [TS_FEATURES_PCA64]       = {"the 64 leading principal components of the training data", INT32_MAX, true, 64, 65},
};
/* clang-format on */

struct ts_features {
    ts_features_kind kind;
    int d, count;             /* of the data, of the features */
    double *mean, *principal; /* [d], [count,d]; NULL: the data themselves */
};

/* ---- the table ---- */

ts_features_kind ts_features_chosen(int h, int w, int c)
{
    const bool images = h > 1 || w > 1;
    const int64_t values = (int64_t)h * w * c;
    int k = 0;
    while (values > ts_features_rows[k].most_values || (images && !ts_features_rows[k].images))
        k++;
    return (ts_features_kind)k;
}

/* ---- making and freeing ---- */

static ts_status allocate(int h, int w, int c, ts_features **features)
{
    ts_features *f = calloc(1, sizeof *f);
    *features = f;
    if (!f)
        return ts_error(TS_NO_MEMORY, "features: no memory");
    f->kind = ts_features_chosen(h, w, c);
    f->d = h * w * c;
    f->count = ts_features_rows[f->kind].count ? ts_features_rows[f->kind].count : f->d;
    if (!ts_features_rows[f->kind].count)
        return NULL;
    f->mean = malloc(sizeof *f->mean * (size_t)f->d);
    f->principal = malloc(sizeof *f->principal * (size_t)f->count * (size_t)f->d);
    return f->mean && f->principal ? NULL : ts_error(TS_NO_MEMORY, "features: no memory");
}

ts_status ts_features_create(const float *train, int64_t n, int h, int w, int c, int threads,
                             ts_features **features)
{
    const ts_features_row *k = &ts_features_rows[ts_features_chosen(h, w, c)];
    ts_features *f;
    *features = NULL;
    if (n < k->least && k->count)
        return ts_error(TS_INVALID, "features: %d principal components need more than %lld training images",
                        k->count, (long long)n);
    ts_status status = allocate(h, w, c, &f);
    if (!status && f->principal)
        status = ts_principal_components(train, (int)(n < MOST_IMAGES ? n : MOST_IMAGES), f->d, f->count,
                                         ts_quality_threads(threads), f->mean, f->principal);
    if (status)
        ts_features_free(f);
    else
        *features = f;
    return status;
}

void ts_features_free(ts_features *features)
{
    if (!features)
        return;
    free(features->mean);
    free(features->principal);
    free(features);
}

ts_features_kind ts_features_kind_of(const ts_features *features)
{
    return features->kind;
}

int ts_features_count(const ts_features *features)
{
    return features->count;
}

int ts_features_dimension(const ts_features *features)
{
    return features->d;
}

void ts_features_of(const ts_features *f, const float *points, int count, double *centred, double *rows)
{
    const size_t d = (size_t)f->d;
    if (!f->principal) {
        for (size_t i = 0; i < (size_t)count * d; i++)
            rows[i] = points[i];
        return;
    }
    for (size_t i = 0; i < (size_t)count; i++)
        for (size_t j = 0; j < d; j++)
            centred[i * d + j] = points[i * d + j] - f->mean[j];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, count, f->count, f->d, 1, centred, f->d,
                f->principal, f->d, 0, rows, f->count);
}

/* ---- files ---- */

static void checksum_text(uint64_t checksum, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)checksum);
}

ts_status ts_features_save(const ts_features *f, uint64_t checksum, const char *path)
{
    const int64_t shape[] = {f->count, f->d};
    char text[17];
    ts_safetensors_writer *writer;
    TS_TRY(ts_safetensors_create(path, &writer));
    checksum_text(checksum, text);
    ts_safetensors_declare_metadata(writer, "features", ts_features_kind_words.word[f->kind]);
    ts_safetensors_declare_metadata(writer, "data_checksum", text);
    ts_status status = NULL;
    if (f->principal) {
        ts_safetensors_declare(writer, "mean", TS_ST_F64, 1, shape + 1);
        ts_safetensors_declare(writer, "principal", TS_ST_F64, 2, shape);
        TS_GOTO(ts_safetensors_append(writer, f->mean, sizeof *f->mean * (size_t)f->d), failed);
        TS_GOTO(ts_safetensors_append(writer, f->principal,
                                      sizeof *f->principal * (size_t)f->count * (size_t)f->d),
                failed);
    }
    return ts_safetensors_commit(writer);
failed:
    ts_safetensors_abandon(writer);
    return status;
}

static bool is_of(const ts_safetensors *file, const char *name, const char *checksum)
{
    const char *features = ts_safetensors_metadata(file, "features");
    const char *data = ts_safetensors_metadata(file, "data_checksum");
    return features && data && !strcmp(features, name) && !strcmp(data, checksum);
}

static ts_status check_finite(const char *path, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return ts_error(TS_FORMAT, "%s: holds a feature that is not finite; delete it", path);
    return NULL;
}

static ts_status read_principal(ts_safetensors *file, const char *path, ts_features *f)
{
    const int64_t shape[] = {f->count, f->d};
    TS_TRY(ts_safetensors_read(file, "mean", TS_ST_F64, 1, shape + 1, f->mean));
    TS_TRY(ts_safetensors_read(file, "principal", TS_ST_F64, 2, shape, f->principal));
    TS_TRY(check_finite(path, f->mean, (size_t)f->d));
    return check_finite(path, f->principal, (size_t)f->count * (size_t)f->d);
}

ts_status ts_features_load(const char *path, uint64_t checksum, int h, int w, int c, ts_features **features)
{
    char text[17];
    ts_features *f = NULL;
    ts_safetensors *file;
    *features = NULL;
    ts_status status = ts_safetensors_open(path, &file);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    checksum_text(checksum, text);
    if (is_of(file, ts_features_kind_words.word[ts_features_chosen(h, w, c)], text)) {
        status = allocate(h, w, c, &f);
        if (!status && f->principal)
            status = read_principal(file, path, f);
    }
    ts_safetensors_close(file);
    if (status)
        ts_features_free(f);
    else
        *features = f;
    return status;
}
