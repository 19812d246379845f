/* Whether two configurations are of one run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/table.h"

static bool must_agree(const ts_config_key *key, ts_config_use use)
{
    static const ts_config_change least[] = {
        [TS_USE_READ] = TS_CHANGE_FIXED, [TS_USE_WRITE] = TS_CHANGE_TRAIN, [TS_USE_RESULT] = TS_CHANGE_FREE};
    return key->change >= least[use];
}

static void cut(const char *text, char out[64])
{
    const bool whole = strlen(text) < 64;
    snprintf(out, 64, "%.*s%s", whole ? 63 : 60, text, whole ? "" : "...");
}

static ts_status compare_key(const ts_config *a, const ts_config *b, const ts_config_key *key,
                             ts_config_difference *difference)
{
    char *first, *second = NULL;
    TS_TRY(ts_config_value_text(a, key, &first));
    ts_status status = ts_config_value_text(b, key, &second);
    if (!status && strcmp(first, second)) {
        difference->key = key->name;
        cut(first, difference->a);
        cut(second, difference->b);
    }
    free(first);
    free(second);
    return status;
}

ts_status ts_config_compare(const ts_config *a, const ts_config *b, ts_config_use use, const char *sections,
                            ts_config_difference *difference)
{
    *difference = (ts_config_difference){0};
    for (int i = 0; ts_config_keys[i].key && !difference->key; i++)
        if (must_agree(&ts_config_keys[i], use) && ts_config_is_of(&ts_config_keys[i], sections))
            TS_TRY(compare_key(a, b, &ts_config_keys[i], difference));
    return NULL;
}
