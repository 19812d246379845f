#include "config/table.h"

#include <limits.h>
#include <string.h>

#include "base/words.h"

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
#define KEY_REAL_OR_AUTO(s, p, x, change, key, def, lo, hi, help)                                            \
    KEY(s, p, x, REAL_OR_AUTO, change, key, #def, lo, hi, NULL, help)
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
#define KEY_WORDS(s, p, x, change, key, def, family, hi, help)                                               \
    KEY(s, p, x, WORDS, change, key, "[" def "]", 0, hi, &family##_words, help)
#define KEY_MATRIX(s, p, x, change, key, def, lo, hi, help)                                                  \
    KEY(s, p, x, MATRIX, change, key, "[" def "]", lo, hi, NULL, help)

#define RUN_KEY(kind, change, key, ...)  KEY_##kind("", run., "", change, key, __VA_ARGS__)
#define DATA_KEY(kind, change, key, ...) KEY_##kind("data", data., "data.", change, key, __VA_ARGS__)
#define MIXTURE_KEY(kind, change, key, ...)                                                                  \
    KEY_##kind("data.mixture", data.mixture., "data.mixture.", change, key, __VA_ARGS__)
#define SDE_KEY(kind, change, key, ...)   KEY_##kind("sde", sde., "sde.", change, key, __VA_ARGS__)
#define MODEL_KEY(kind, change, key, ...) KEY_##kind("model", model., "model.", change, key, __VA_ARGS__)
#define TRAIN_KEY(kind, change, key, ...) KEY_##kind("train", train., "train.", change, key, __VA_ARGS__)
#define GLOW_KEY(kind, change, key, ...)  KEY_##kind("glow", glow., "glow.", change, key, __VA_ARGS__)
#define GLOW_ALL_KEY(kind, change, key, ...)                                                                 \
    KEY_##kind("glow_all", glow_all., "glow_all.", change, key, __VA_ARGS__)
#define START_KEY(kind, change, key, ...) KEY_##kind("start", start., "start.", change, key, __VA_ARGS__)
#define BOUND_KEY(kind, change, key, ...) KEY_##kind("bound", bound., "bound.", change, key, __VA_ARGS__)
#define LIKELIHOOD_KEY(kind, change, key, ...)                                                               \
    KEY_##kind("likelihood", likelihood., "likelihood.", change, key, __VA_ARGS__)
#define SAMPLE_KEY(kind, change, key, ...) KEY_##kind("sample", sample., "sample.", change, key, __VA_ARGS__)
#define SWEEP_KEY(kind, change, key, ...)  KEY_##kind("sweep", sweep., "sweep.", change, key, __VA_ARGS__)

const ts_config_key ts_config_keys[] = {
    TS_CONFIG_RUN(RUN_KEY) TS_CONFIG_DATA(DATA_KEY) TS_CONFIG_MIXTURE(MIXTURE_KEY) TS_CONFIG_SDE(SDE_KEY)
        TS_CONFIG_MODEL(MODEL_KEY) TS_CONFIG_TRAIN(TRAIN_KEY) TS_CONFIG_GLOW(GLOW_KEY)
            TS_CONFIG_GLOW_ALL(GLOW_ALL_KEY) TS_CONFIG_START(START_KEY) TS_CONFIG_BOUND(BOUND_KEY)
                TS_CONFIG_LIKELIHOOD(LIKELIHOOD_KEY) TS_CONFIG_SAMPLE(SAMPLE_KEY)
                    TS_CONFIG_SWEEP(SWEEP_KEY){0}};

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

bool ts_config_is_of(const ts_config_key *key, const char *sections)
{
    const char *section = *key->section ? key->section : "run";
    const size_t length = strcspn(section, ".");
    for (const char *word = sections; word && *word; word += strspn(word, " ")) {
        const size_t all = strcspn(word, " ");
        if (all == length && !strncmp(word, section, length))
            return true;
        word += all;
    }
    return !sections;
}
