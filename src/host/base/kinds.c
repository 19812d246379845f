#include "base/kinds.h"

#include <stdio.h>
#include <string.h>

#define WORD(name, word) [name] = word,
#define WORDS(family, kinds)                                                                                 \
    static const char *const family##_list[] = {kinds(WORD)};                                                \
    const ts_words family##_words = {sizeof family##_list / sizeof *family##_list, family##_list};

WORDS(ts_data_kind, TS_DATA_KINDS)
WORDS(ts_model_kind, TS_MODEL_KINDS)
WORDS(ts_score_kind, TS_SCORE_KINDS)
WORDS(ts_start_kind, TS_START_KINDS)
WORDS(ts_fitted_to_kind, TS_FITTED_TO_KINDS)
WORDS(ts_covariance_kind, TS_COVARIANCE_KINDS)
WORDS(ts_whiten_kind, TS_WHITEN_KINDS)
WORDS(ts_sampler_kind, TS_SAMPLER_KINDS)
WORDS(ts_features_kind, TS_FEATURES_KINDS)
WORDS(ts_feature_network_kind, TS_FEATURE_NETWORK_KINDS)
WORDS(ts_measure_kind, TS_MEASURE_KINDS)
WORDS(ts_loss_kind, TS_LOSS_KINDS)
WORDS(ts_t_sampling_kind, TS_T_SAMPLING_KINDS)
WORDS(ts_network_kind, TS_NETWORK_KINDS)
WORDS(ts_embedding_kind, TS_EMBEDDING_KINDS)
WORDS(ts_predicts_kind, TS_PREDICTS_KINDS)
WORDS(ts_time_input_kind, TS_TIME_INPUT_KINDS)
WORDS(ts_progressive_kind, TS_PROGRESSIVE_KINDS)
WORDS(ts_progressive_input_kind, TS_PROGRESSIVE_INPUT_KINDS)
WORDS(ts_combine_kind, TS_COMBINE_KINDS)
WORDS(ts_resblock_kind, TS_RESBLOCK_KINDS)
WORDS(ts_probe_kind, TS_PROBE_KINDS)
WORDS(ts_filter_kind, TS_FILTER_KINDS)

#define WORD_ALONE(name, word) word,
static const char *const compared_features_list[] = {TS_FEATURES_KINDS(WORD_ALONE)
                                                         TS_FEATURE_NETWORK_KINDS(WORD_ALONE)};
const ts_words ts_compared_features_words = {TS_FEATURES_COUNT + TS_FEATURE_NETWORK_COUNT,
                                             compared_features_list};

int ts_words_find(const ts_words *words, const char *text, size_t length)
{
    for (int i = 0; i < words->count; i++)
        if (strlen(words->word[i]) == length && !strncmp(words->word[i], text, length))
            return i;
    return -1;
}

void ts_words_list(const ts_words *words, const char *separator, const char *last, char *text, size_t size)
{
    size_t used = 0;
    *text = 0;
    for (int i = 0; i < words->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 !i                      ? ""
                                 : i + 1 == words->count ? last
                                                         : separator,
                                 words->word[i]);
}
