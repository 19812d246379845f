#include "config/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/words.h"
#include "config/table.h"

/* ---- the tables of config.h as data ---- */

#define SDE_WORD(name, word) [name] = word,
static const char *const sde_words[] = {TS_SDE_KINDS(SDE_WORD)};
const ts_words ts_sde_kind_words = {TS_SDE_COUNT, sde_words};

/* clang-format off */
#define KEY(section, path, prefix, kind, change, key, fallback, minimum, maximum, words, help)               \
    {section, #key, prefix #key, TS_KEY_##kind, TS_CHANGE_##change, offsetof(ts_config, path key),           \
     minimum, maximum, words, fallback, help},
/* clang-format on */

#define KEY_INT(s, p, x, change, key, def, lo, hi, help)                                                     \
    KEY(s, p, x, INT, change, key, #def, lo, hi, NULL, help)
#define KEY_REAL(s, p, x, change, key, def, lo, hi, help)                                                    \
    KEY(s, p, x, REAL, change, key, #def, lo, hi, NULL, help)
#define KEY_BOOL(s, p, x, change, key, def, lo, hi, help)                                                    \
    KEY(s, p, x, BOOL, change, key, (def) ? "true" : "false", lo, hi, NULL, help)
#define KEY_STRING(s, p, x, change, key, def, lo, hi, help)                                                  \
    KEY(s, p, x, STRING, change, key, def, lo, hi, NULL, help)
#define KEY_CHOICE(s, p, x, change, key, def, family, hi, help)                                              \
    KEY(s, p, x, CHOICE, change, key, def, 0, hi, &family##_words, help)
#define KEY_INTS(s, p, x, change, key, def, lo, hi, help)                                                    \
    KEY(s, p, x, INTS, change, key, "[" def "]", lo, hi, NULL, help)
#define KEY_REALS(s, p, x, change, key, def, lo, hi, help)                                                   \
    KEY(s, p, x, REALS, change, key, "[" def "]", lo, hi, NULL, help)
#define KEY_MATRIX(s, p, x, change, key, def, lo, hi, help)                                                  \
    KEY(s, p, x, MATRIX, change, key, "[" def "]", lo, hi, NULL, help)

#define RUN_KEY(kind, change, key, ...)  KEY_##kind("", run., "", change, key, __VA_ARGS__)
#define DATA_KEY(kind, change, key, ...) KEY_##kind("data", data., "data.", change, key, __VA_ARGS__)
#define MIXTURE_KEY(kind, change, key, ...)                                                                  \
    KEY_##kind("data.mixture", data.mixture., "data.mixture.", change, key, __VA_ARGS__)
#define SDE_KEY(kind, change, key, ...)    KEY_##kind("sde", sde., "sde.", change, key, __VA_ARGS__)
#define MODEL_KEY(kind, change, key, ...)  KEY_##kind("model", model., "model.", change, key, __VA_ARGS__)
#define TRAIN_KEY(kind, change, key, ...)  KEY_##kind("train", train., "train.", change, key, __VA_ARGS__)
#define GLOW_KEY(kind, change, key, ...)   KEY_##kind("glow", glow., "glow.", change, key, __VA_ARGS__)
#define BOUND_KEY(kind, change, key, ...)  KEY_##kind("bound", bound., "bound.", change, key, __VA_ARGS__)
#define SAMPLE_KEY(kind, change, key, ...) KEY_##kind("sample", sample., "sample.", change, key, __VA_ARGS__)
#define SWEEP_KEY(kind, change, key, ...)  KEY_##kind("sweep", sweep., "sweep.", change, key, __VA_ARGS__)

const ts_config_key ts_config_keys[] = {
    TS_CONFIG_RUN(RUN_KEY) TS_CONFIG_DATA(DATA_KEY) TS_CONFIG_MIXTURE(MIXTURE_KEY) TS_CONFIG_SDE(SDE_KEY)
        TS_CONFIG_MODEL(MODEL_KEY) TS_CONFIG_TRAIN(TRAIN_KEY) TS_CONFIG_GLOW(GLOW_KEY)
            TS_CONFIG_BOUND(BOUND_KEY) TS_CONFIG_SAMPLE(SAMPLE_KEY) TS_CONFIG_SWEEP(SWEEP_KEY){0}};

_Static_assert(sizeof ts_config_keys / sizeof *ts_config_keys <= TS_CONFIG_KEY_LIMIT, "raise the limit");

int ts_config_find(const char *name)
{
    for (int i = 0; ts_config_keys[i].key; i++)
        if (!strcmp(ts_config_keys[i].name, name))
            return i;
    return -1;
}

bool ts_config_is_section(const char *name)
{
    for (int i = 0; *name && ts_config_keys[i].key; i++)
        if (!strcmp(ts_config_keys[i].section, name))
            return true;
    return false;
}

const char *ts_config_suggest(const char *name)
{
    const char *tail = strrchr(name, '.') ? strrchr(name, '.') + 1 : name, *best = NULL;
    int least = ts_word_tolerance(tail) + 1;
    for (int i = 0; ts_config_keys[i].key; i++) {
        const ts_config_key *key = &ts_config_keys[i];
        int d = ts_word_distance(name, key->name), section = ts_word_distance(name, key->section);
        if (!strcmp(tail, key->key) && d > 1)
            d = 1; /* the right key in the wrong section */
        if (d < least) {
            least = d;
            best = key->name;
        }
        if (*key->section && section < least) {
            least = section;
            best = key->section;
        }
    }
    return best;
}

/* ---- loading ---- */

/* A relative path is relative to the working directory of the command that names it; the configuration that is
 * stored with a run is read from elsewhere too. */
static ts_status resolve_data_path(ts_config *config)
{
    char **path = &config->data.path, *folder, *whole;
    if (!**path || **path == '/')
        return NULL;
    whole = realpath(*path, NULL);
    if (!whole && (folder = getcwd(NULL, 0))) { /* what is not there is missed where it is opened */
        if (asprintf(&whole, "%s/%s", folder, *path) < 0)
            whole = NULL;
        free(folder);
    }
    if (!whole)
        return ts_error(TS_NO_MEMORY, "data.path: %s: %s", *path, strerror(errno));
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

static ts_status read_all(ts_config *config, const char *path, const char *const *overrides, int count)
{
    ts_config_origin origins[TS_CONFIG_KEY_LIMIT] = {{0}};
    TS_TRY(read_defaults(config, origins));
    if (path) {
        char *text;
        size_t length;
        TS_TRY(ts_file_read(path, 1 << 20, &text, &length));
        ts_status status = ts_config_read_text(config, text, length, path, origins);
        free(text);
        TS_TRY(status);
    }
    for (int i = 0; i < count; i++)
        TS_TRY(ts_config_read_override(config, overrides[i], origins));
    TS_TRY(resolve_data_path(config));
    return ts_config_check(config, origins);
}

ts_status ts_config_load(const char *path, const char *const *overrides, int count, ts_config **config)
{
    *config = NULL;
    ts_config *c = calloc(1, sizeof *c);
    if (!c)
        return ts_error(TS_NO_MEMORY, "no memory for the configuration");
    ts_status status = read_all(c, path, overrides, count);
    if (status)
        ts_config_free(c);
    else
        *config = c;
    return status;
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
        case TS_KEY_MATRIX:
            free(((ts_matrix *)member)->v);
            break;
        default:
            break;
        }
    }
    free(config);
}

ts_sde ts_config_sde(const ts_config *config)
{
    return (ts_sde){.kind = config->sde.kind,
                    .beta_min = config->sde.beta_min,
                    .beta_max = config->sde.beta_max,
                    .sigma_min = config->sde.sigma_min,
                    .sigma_max = config->sde.sigma_max};
}
