#include "config/json.h"

#include <stdlib.h>
#include <string.h>

#include "config/table.h"

static json_t *list_of_words(const ts_kinds *kinds, const ts_words *words)
{
    json_t *list = json_array();
    for (int i = 0; i < kinds->count; i++)
        json_array_append_new(list, json_string(words->word[kinds->v[i]])); /* nothing, where list is NULL */
    return list;
}

/* Everything but text and words is printed in a form that is JSON too. */
static ts_status value_of(const ts_config *config, const ts_config_key *key, json_t **value)
{
    char *text;
    if (key->kind == TS_KEY_STRING)
        *value = json_string(*(char **)ts_config_member(config, key));
    else if (key->kind == TS_KEY_WORDS)
        *value = list_of_words(ts_config_member(config, key), key->words);
    else {
        TS_TRY(ts_config_value_text(config, key, &text));
        const bool word = key->kind == TS_KEY_CHOICE || ts_config_is_auto(config, key);
        *value = word ? json_string(text) : json_loads(text, JSON_DECODE_ANY, NULL);
        free(text);
    }
    return *value ? NULL : ts_error(TS_NO_MEMORY, "no memory for %s", key->name);
}

/* The object of a section, made where it is missing; sections nest at most once. */
static json_t *section_of(json_t *root, const char *section)
{
    const char *dot = strchr(section, '.');
    if (!*section)
        return root;
    if (dot) {
        char *outer = strndup(section, (size_t)(dot - section));
        root = outer ? section_of(root, outer) : NULL;
        free(outer);
        section = dot + 1;
    }
    if (root && !json_object_get(root, section))
        json_object_set_new(root, section, json_object());
    return json_object_get(root, section);
}

ts_status ts_config_json(const ts_config *config, json_t **json)
{
    ts_status status = NULL;
    json_t *root = json_object(), *value;
    for (const ts_config_key *key = ts_config_keys; key->key && !status; key++) {
        status = value_of(config, key, &value);
        if (!status && json_object_set_new(section_of(root, key->section), key->key, value))
            status = ts_error(TS_NO_MEMORY, "no memory for %s", key->name);
    }
    if (status)
        json_decref(root);
    else
        *json = root;
    return status;
}
