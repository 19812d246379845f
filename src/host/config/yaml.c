/* YAML into the configuration: libyaml parses, the table of keys decides what is allowed. */
#include "base/decimal.h"
#include "base/yaml_bounds.h"
#include "config/table.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct reader {
    ts_config *config;
    ts_config_origin *origins;
    yaml_document_t document;
    const char *file, *override;
    bool seen[TS_CONFIG_KEY_LIMIT];
} reader;

ts_status ts_config_error(const ts_config_origin *origin, const char *format, ...)
{
    va_list arguments;
    char *message;
    va_start(arguments, format);
    int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    if (length < 0)
        return ts_error(TS_NO_MEMORY, "not enough memory");
    ts_status status = ts_error(TS_INVALID, "%s", message);
    free(message);
    if (origin->override)
        return ts_context(status, "--set %.80s%s", origin->override,
                          strlen(origin->override) > 80 ? "..." : "");
    if (origin->file && origin->line > 0)
        return ts_context(status, "%s:%d", origin->file, origin->line);
    return origin->file ? ts_context(status, "%s", origin->file) : status;
}

static ts_config_origin origin_of(const reader *r, const yaml_node_t *node)
{
    return (ts_config_origin){r->file, r->override, (int)node->start_mark.line + 1};
}

#define FAIL(r, node, ...)                                                                                   \
    do {                                                                                                     \
        ts_config_origin origin_ = origin_of(r, node);                                                       \
        return ts_config_error(&origin_, __VA_ARGS__);                                                       \
    } while (0)

/* ---- one value ---- */

static const char *scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* A value as it stands in a message: its beginning, if it is long or has several lines. */
typedef struct shown_text {
    char text[64];
} shown_text;

static shown_text show(const yaml_node_t *node)
{
    const char *text = node->type == YAML_MAPPING_NODE    ? "a mapping"
                       : node->type == YAML_SEQUENCE_NODE ? "a list"
                       : *scalar(node)                    ? scalar(node)
                                                          : "nothing";
    const size_t length = strcspn(text, "\r\n");
    const bool whole = !text[length] && length < sizeof(shown_text);
    shown_text shown;
    snprintf(shown.text, sizeof shown.text, "%.*s%s", whole ? (int)length : (int)(length < 56 ? length : 56),
             text, whole ? "" : " ...");
    return shown;
}

#define shown(node) (show(node).text)

static ts_status check_range(const reader *r, const yaml_node_t *node, const ts_config_key *key, double value)
{
    if (key->minimum == key->maximum || (value >= key->minimum && value <= key->maximum))
        return NULL;
    char low[32], high[32];
    ts_decimal(key->minimum, low);
    ts_decimal(key->maximum, high);
    FAIL(r, node, "%s must lie in [%s, %s], not %s", key->name, low, high, shown(node));
}

static ts_status read_int(const reader *r, const yaml_node_t *node, const ts_config_key *key, int *out)
{
    const char *text = scalar(node);
    char *end = NULL;
    errno = 0;
    long long value = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text || *end || node->data.scalar.length != (size_t)(end - text))
        FAIL(r, node, "%s must be an integer, not %s", key->name, shown(node));
    TS_TRY(check_range(r, node, key, (double)value));
    if (errno == ERANGE || value < INT_MIN || value > INT_MAX)
        FAIL(r, node, "%s is too large: %s", key->name, text);
    *out = (int)value;
    return NULL;
}

static ts_status read_real(const reader *r, const yaml_node_t *node, const ts_config_key *key, double *out)
{
    const char *text = scalar(node);
    char *end = NULL;
    double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || node->data.scalar.length != (size_t)(end - text) ||
        !__builtin_isfinite(value))
        FAIL(r, node, "%s must be a number, not %s", key->name, shown(node));
    TS_TRY(check_range(r, node, key, value));
    *out = value;
    return NULL;
}

static ts_status read_real_or_auto(const reader *r, const yaml_node_t *node, const ts_config_key *key,
                                   double *out)
{
    char *end = NULL;
    if (scalar(node) && !strcmp(scalar(node), "auto")) {
        *out = 0;
        return NULL;
    }
    if (!scalar(node) || (strtod(scalar(node), &end), end == scalar(node)))
        FAIL(r, node, "%s must be a number or auto, not %s", key->name, shown(node));
    return read_real(r, node, key, out);
}

static ts_status read_bool(const reader *r, const yaml_node_t *node, const ts_config_key *key, bool *out)
{
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    const char *text = scalar(node);
    for (int value = 0; text && value < 2; value++)
        for (int i = 0; i < 3; i++)
            if (!strcasecmp(text, words[value][i])) {
                *out = value;
                return NULL;
            }
    FAIL(r, node, "%s must be true or false, not %s", key->name, shown(node));
}

static ts_status read_choice(const reader *r, const yaml_node_t *node, const ts_config_key *key,
                             unsigned *out)
{
    const char *text = scalar(node);
    const int kind = text ? ts_words_find(key->words, text, node->data.scalar.length) : -1;
    char words[256];
    ts_words_list(key->words, "|", "|", words, sizeof words);
    if (kind < 0)
        FAIL(r, node, "%s must be one of %s, not %s", key->name, words, shown(node));
    *out = (unsigned)kind;
    return NULL;
}

static ts_status read_string(const reader *r, const yaml_node_t *node, const ts_config_key *key, char **out)
{
    const char *text = scalar(node);
    if (!text)
        FAIL(r, node, "%s must be text, not %s", key->name, shown(node));
    if (strlen(text) != node->data.scalar.length)
        FAIL(r, node, "%s holds a zero byte", key->name);
    char *copy = strdup(text);
    if (!copy)
        return ts_error(TS_NO_MEMORY, "no memory for %s", key->name);
    free(*out);
    *out = copy;
    return NULL;
}

/* ---- lists ---- */

static yaml_node_t *item(reader *r, const yaml_node_t *list, int i)
{
    return yaml_document_get_node(&r->document, list->data.sequence.items.start[i]);
}

static int item_count(const yaml_node_t *list)
{
    return (int)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static ts_status need_list(const reader *r, const yaml_node_t *node, const ts_config_key *key)
{
    char words[80] = "";
    if (node->type == YAML_SEQUENCE_NODE)
        return NULL;
    if (key->kind == TS_KEY_WORDS)
        snprintf(words, sizeof words, "[%s, %s]", key->words->word[0], key->words->word[1]);
    FAIL(r, node, "%s must be a list such as %s, not %s", key->name,
         key->kind == TS_KEY_INTS    ? "[1, 2]"
         : key->kind == TS_KEY_REALS ? "[0.5, 0.25]"
         : key->kind == TS_KEY_WORDS ? words
                                     : "[[0.5, 1], [0, 2]]",
         shown(node));
}

static ts_status read_item(const reader *r, const yaml_node_t *node, const ts_config_key *key, void *out)
{
    return key->kind == TS_KEY_INTS    ? read_int(r, node, key, out)
           : key->kind == TS_KEY_WORDS ? read_choice(r, node, key, out)
                                       : read_real(r, node, key, out);
}

/* The items of a list, each of `size` bytes, in memory of their own. */
static ts_status read_items(reader *r, const yaml_node_t *node, const ts_config_key *key, size_t size,
                            int *count, void **items)
{
    ts_status status = NULL;
    TS_TRY(need_list(r, node, key));
    *count = item_count(node);
    char *v = calloc((size_t)*count + 1, size);
    if (!v)
        return ts_error(TS_NO_MEMORY, "no memory for %s", key->name);
    for (int i = 0; i < *count && !status; i++)
        status = read_item(r, item(r, node, i), key, v + (size_t)i * size);
    if (status)
        free(v);
    else
        *items = v;
    return status;
}

static ts_status read_ints(reader *r, const yaml_node_t *node, const ts_config_key *key, ts_ints *out)
{
    int count;
    void *v;
    TS_TRY(read_items(r, node, key, sizeof *out->v, &count, &v));
    free(out->v);
    *out = (ts_ints){count, v};
    return NULL;
}

static ts_status read_reals(reader *r, const yaml_node_t *node, const ts_config_key *key, ts_reals *out)
{
    int count;
    void *v;
    TS_TRY(read_items(r, node, key, sizeof *out->v, &count, &v));
    free(out->v);
    *out = (ts_reals){count, v};
    return NULL;
}

static ts_status no_word_twice(reader *r, const yaml_node_t *node, const ts_config_key *key,
                               const unsigned *v)
{
    for (int i = 0; i < item_count(node); i++)
        for (int j = 0; j < i; j++)
            if (v[j] == v[i])
                FAIL(r, item(r, node, i), "%s: %s is given twice", key->name, key->words->word[v[i]]);
    return NULL;
}

static ts_status read_words(reader *r, const yaml_node_t *node, const ts_config_key *key, ts_kinds *out)
{
    int count;
    void *v;
    TS_TRY(read_items(r, node, key, sizeof *out->v, &count, &v));
    ts_status status = no_word_twice(r, node, key, v);
    if (status) {
        free(v);
        return status;
    }
    free(out->v);
    *out = (ts_kinds){count, v};
    return NULL;
}

static ts_status read_row(reader *r, const yaml_node_t *node, const ts_config_key *key, double *v)
{
    for (int i = 0; i < item_count(node); i++)
        TS_TRY(read_real(r, item(r, node, i), key, &v[i]));
    return NULL;
}

/* Rows of a list of lists into v; a flat list fills one column. */
static ts_status read_rows(reader *r, const yaml_node_t *node, const ts_config_key *key, int columns,
                           double *v)
{
    for (int i = 0; i < item_count(node); i++) {
        const yaml_node_t *row = item(r, node, i);
        bool flat = row->type == YAML_SCALAR_NODE;
        if (!flat)
            TS_TRY(need_list(r, row, key));
        int width = flat ? 1 : item_count(row);
        if (width != columns)
            FAIL(r, row, "%s: row %d has %d values where the first has %d", key->name, i + 1, width, columns);
        TS_TRY(flat ? read_real(r, row, key, v + i) : read_row(r, row, key, v + (size_t)i * (size_t)columns));
    }
    return NULL;
}

static ts_status read_matrix(reader *r, const yaml_node_t *node, const ts_config_key *key, ts_matrix *out)
{
    TS_TRY(need_list(r, node, key));
    int rows = item_count(node), columns = 0;
    if (rows > 0) {
        const yaml_node_t *first = item(r, node, 0);
        columns = first->type == YAML_SEQUENCE_NODE ? item_count(first) : 1;
    }
    double *v = calloc((size_t)rows * (size_t)columns + 1, sizeof *v);
    if (!v)
        return ts_error(TS_NO_MEMORY, "no memory for %s", key->name);
    ts_status status = read_rows(r, node, key, columns, v);
    if (status) {
        free(v);
        return status;
    }
    free(out->v);
    *out = (ts_matrix){rows, columns, v};
    return NULL;
}

/* ---- keys and sections ---- */

static ts_status read_value(reader *r, const yaml_node_t *node, int index)
{
    const ts_config_key *key = &ts_config_keys[index];
    void *member = ts_config_member(r->config, key);
    r->origins[index] = origin_of(r, node);
    switch (key->kind) {
    case TS_KEY_INT:
        return read_int(r, node, key, member);
    case TS_KEY_REAL:
        return read_real(r, node, key, member);
    case TS_KEY_REAL_OR_AUTO:
        return read_real_or_auto(r, node, key, member);
    case TS_KEY_BOOL:
        return read_bool(r, node, key, member);
    case TS_KEY_STRING:
        return read_string(r, node, key, member);
    case TS_KEY_CHOICE:
        return read_choice(r, node, key, member);
    case TS_KEY_INTS:
        return read_ints(r, node, key, member);
    case TS_KEY_REALS:
        return read_reals(r, node, key, member);
    case TS_KEY_WORDS:
        return read_words(r, node, key, member);
    case TS_KEY_MATRIX:
        return read_matrix(r, node, key, member);
    }
    return NULL;
}

static ts_status unknown_key(const reader *r, const yaml_node_t *node, const char *name)
{
    const char *like = ts_config_suggest(name);
    if (like)
        FAIL(r, node, "unknown key %s (did you mean %s?)", name, like);
    FAIL(r, node, "unknown key %s (tstar info --keys lists them)", name);
}

static ts_status read_section(reader *r, const yaml_node_t *node, const char *section);

/* The value of the key or section `name`; `at` is the node that a message about the name points to. */
static ts_status read_named(reader *r, const yaml_node_t *at, const char *name, const yaml_node_t *value)
{
    int index = ts_config_find(name);
    if (index < 0)
        return ts_config_is_section(name) ? read_section(r, value, name) : unknown_key(r, at, name);
    if (r->seen[index])
        FAIL(r, at, "%s is given twice", name);
    r->seen[index] = true;
    return read_value(r, value, index);
}

static ts_status read_section(reader *r, const yaml_node_t *node, const char *section)
{
    if (node->type == YAML_SCALAR_NODE && !*scalar(node))
        return NULL; /* a heading with nothing under it */
    if (node->type != YAML_MAPPING_NODE)
        FAIL(r, node, "%s must be a mapping of keys to values, not %s",
             *section ? section : "a configuration", shown(node));
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
        char name[128];
        if (!scalar(key))
            FAIL(r, key, "a key must be a word, not %s", shown(key));
        snprintf(name, sizeof name, "%s%s%.80s", section, *section ? "." : "", scalar(key));
        TS_TRY(read_named(r, key, name, value));
    }
    return NULL;
}

/* ---- documents ---- */

static ts_status syntax_error(const yaml_parser_t *parser, const char *file, const char *override)
{
    ts_config_origin origin = {file, override, (int)parser->problem_mark.line + 1};
    if (parser->error == YAML_MEMORY_ERROR || !parser->problem) /* libyaml gives every other error a text */
        return ts_error(TS_NO_MEMORY, "no memory to read %s", file ? file : override);
    if (parser->error == YAML_READER_ERROR)
        origin.line = 0;
    return ts_config_error(&origin, "not valid YAML: %s%s%s", parser->problem, parser->context ? " " : "",
                           parser->context ? parser->context : "");
}

static ts_status no_second_document(yaml_parser_t *parser, const char *file, const char *override)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return syntax_error(parser, file, override);
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    ts_config_origin origin = {file, override, root ? (int)root->start_mark.line + 1 : 0};
    yaml_document_delete(&next);
    return root ? ts_config_error(&origin, "a second YAML document begins here; one is allowed") : NULL;
}

/* The document of a text: its root goes to the key or section `name` ("" for a whole file). */
static ts_status read_document(ts_config *config, const char *text, size_t length, const char *file,
                               const char *override, const char *name, ts_config_origin *origins)
{
    reader r = {.config = config, .origins = origins, .file = file, .override = override};
    yaml_parser_t parser;
    ts_config_origin origin = {.file = file, .override = override};
    const char *too_much = ts_yaml_bounds(text, length, &origin.line);
    if (too_much)
        return ts_config_error(&origin, "%s", too_much);
    if (!yaml_parser_initialize(&parser))
        return ts_error(TS_NO_MEMORY, "no memory to read %s", file ? file : override);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (!yaml_parser_load(&parser, &r.document)) {
        ts_status status = syntax_error(&parser, file, override);
        yaml_parser_delete(&parser);
        return status;
    }
    const yaml_node_t nothing = {.type = YAML_SCALAR_NODE,
                                 .data.scalar = {.value = (yaml_char_t *)"", .length = 0}};
    const yaml_node_t *root = yaml_document_get_root_node(&r.document);
    bool empty = !root;
    if (empty)
        root = &nothing;
    ts_status status = *name ? read_named(&r, root, name, root) : read_section(&r, root, "");
    if (!status && !empty)
        status = no_second_document(&parser, file, override);
    yaml_document_delete(&r.document);
    yaml_parser_delete(&parser);
    return status;
}

ts_status ts_config_read_text(ts_config *config, const char *text, size_t length, const char *file,
                              ts_config_origin *origins)
{
    return read_document(config, text, length, file, NULL, "", origins);
}

/* Whether a key takes a list of numbers or words, which needs no brackets on the command line. */
static bool is_list(const char *name)
{
    const int index = ts_config_find(name);
    return index >= 0 &&
           (ts_config_keys[index].kind == TS_KEY_INTS || ts_config_keys[index].kind == TS_KEY_REALS ||
            ts_config_keys[index].kind == TS_KEY_WORDS);
}

ts_status ts_config_read_override(ts_config *config, const char *override, ts_config_origin *origins)
{
    const char *equals = strchr(override, '=');
    char name[128];
    if (!equals || equals == override || equals - override >= (ptrdiff_t)sizeof name)
        return ts_error(TS_INVALID, "--set %s: write KEY=VALUE, such as --set train.steps=1000", override);
    snprintf(name, sizeof name, "%.*s", (int)(equals - override), override);
    const char *value = equals + 1 + strspn(equals + 1, " ");
    if (!is_list(name) || !*value || strchr("[!&*", *value))
        return read_document(config, value, strlen(value), NULL, override, name, origins);
    char *list; /* sweep.T=1,0.5 for sweep.T=[1,0.5] */
    if (asprintf(&list, "[%s]", value) < 0)
        return ts_error(TS_NO_MEMORY, "no memory for --set %s", override);
    ts_status status = read_document(config, list, strlen(list), NULL, override, name, origins);
    free(list);
    return status;
}
