/* Configurations from files, overrides and text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "config/table.h"

/* A relative path is relative to the working directory of the command that names it; the configuration that
 * is stored with a run is read from elsewhere too. */
static ts_status resolve_path(const char *key, char **path)
{
    char *folder, *whole;
    if (!**path || **path == '/')
        return NULL;
    whole = realpath(*path, NULL);
    if (!whole && (folder = getcwd(NULL, 0))) { /* what is not there is missed where it is opened */
        if (asprintf(&whole, "%s/%s", folder, *path) < 0)
            whole = NULL;
        free(folder);
    }
    if (!whole)
        return ts_error(TS_NO_MEMORY, "%s: %s cannot be made absolute: %s", key, *path, strerror(errno));
    free(*path);
    *path = whole;
    return NULL;
}

static ts_status read_defaults(ts_config *config, ts_config_origin *origins)
{
    char text[256];
    for (int i = 0; ts_config_keys[i].key; i++) {
        const ts_config_key *key = &ts_config_keys[i];
        snprintf(text, sizeof text, "%s=%s", key->name, key->fallback);
        TS_TRY(ts_config_read_override(config, text, origins));
        origins[i] = (ts_config_origin){0};
    }
    return NULL;
}

/* Weights in place of a configuration or a run: what to do with them. */
static ts_status refuse_weights(const char *path)
{
    switch (ts_file_kind_of(path)) {
    case TS_FILE_PYTORCH:
        return ts_error(
            TS_INVALID,
            "%s: a file of PyTorch's, no configuration or run: tools/import_checkpoint.py %s CONFIG --out RUN "
            "makes a run of a score network's",
            path, path);
    case TS_FILE_SAFETENSORS:
        return ts_error(
            TS_INVALID,
            "%s: weights, no configuration or run: tstar import CONFIG %s --out RUN makes a run of a "
            "score network's",
            path, path);
    case TS_FILE_OTHER:
        break;
    }
    return NULL;
}

static ts_status read_all(ts_config *config, const char *path, const char *const *overrides, int count,
                          bool published)
{
    ts_config_origin origins[TS_CONFIG_KEY_LIMIT] = {{0}};
    TS_TRY(read_defaults(config, origins));
    if (path) {
        char *text;
        size_t length;
        TS_TRY(refuse_weights(path));
        TS_TRY(ts_file_read(path, 1 << 20, &text, &length));
        ts_status status = ts_config_read_text(config, text, length, path, origins);
        free(text);
        TS_TRY(status);
    }
    for (int i = 0; i < count; i++)
        TS_TRY(ts_config_read_override(config, overrides[i], origins));
    if (published)
        TS_TRY(ts_config_fill_published(config, origins));
    TS_TRY(resolve_path("data.path", &config->data.path));
    TS_TRY(resolve_path("data.cache", &config->data.cache));
    return ts_config_check(config, origins);
}

static ts_status load(const char *path, const char *const *overrides, int count, bool published,
                      ts_config **config)
{
    *config = NULL;
    ts_config *c = calloc(1, sizeof *c);
    if (!c)
        return ts_error(TS_NO_MEMORY, "no memory for the configuration");
    ts_status status = read_all(c, path, overrides, count, published);
    if (status)
        ts_config_free(c);
    else
        *config = c;
    return status;
}

ts_status ts_config_load(const char *path, const char *const *overrides, int count, ts_config **config)
{
    return load(path, overrides, count, false, config);
}

ts_status ts_config_load_published(const char *path, const char *const *overrides, int count,
                                   ts_config **config)
{
    return load(path, overrides, count, true, config);
}

ts_status ts_config_parse(const char *text, const char *name, ts_config **config)
{
    ts_config_origin origins[TS_CONFIG_KEY_LIMIT] = {{0}};
    *config = NULL;
    ts_config *c = calloc(1, sizeof *c);
    if (!c)
        return ts_error(TS_NO_MEMORY, "no memory for the configuration");
    ts_status status = read_defaults(c, origins);
    if (!status)
        status = ts_config_read_text(c, text, strlen(text), name, origins);
    if (status)
        ts_config_free(c);
    else
        *config = c;
    return status;
}

void ts_config_free(ts_config *config)
{
    if (!config)
        return;
    for (int i = 0; ts_config_keys[i].key; i++) {
        void *member = ts_config_member(config, &ts_config_keys[i]);
        switch (ts_config_keys[i].kind) {
        case TS_KEY_STRING:
            free(*(char **)member);
            break;
        case TS_KEY_INTS:
            free(((ts_ints *)member)->v);
            break;
        case TS_KEY_REALS:
            free(((ts_reals *)member)->v);
            break;
        case TS_KEY_WORDS:
            free(((ts_kinds *)member)->v);
            break;
        case TS_KEY_MATRIX:
            free(((ts_matrix *)member)->v);
            break;
        default:
            break;
        }
    }
    free(config);
}

double ts_config_largest_T(const ts_config *config)
{
    double T = config->train.T;
    for (int i = 0; !(config->train.T > 0) && i < config->sweep.T.count; i++)
        T = config->sweep.T.v[i] > T ? config->sweep.T.v[i] : T;
    return T;
}

ts_sde ts_config_sde(const ts_config *config)
{
    return (ts_sde){.kind = config->sde.kind,
                    .beta_min = config->sde.beta_min,
                    .beta_max = config->sde.beta_max,
                    .sigma_min = config->sde.sigma_min,
                    .sigma_max = config->sde.sigma_max};
}
