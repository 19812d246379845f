#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/decimal.h"
#include "base/text.h"
#include "config/table.h"

/* ---- the resolved configuration ---- */

/* A double-quoted YAML scalar. */
static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02x", *c);
        else
            fputc(*c, out);
    fputc('"', out);
}

static void print_reals(FILE *out, const double *v, int count)
{
    char text[32];
    fputc('[', out);
    for (int i = 0; i < count; i++) {
        ts_decimal(v[i], text);
        fprintf(out, "%s%s", i ? ", " : "", text);
    }
    fputc(']', out);
}

static void print_matrix(FILE *out, const ts_matrix *m)
{
    fputc('[', out);
    for (int i = 0; i < m->rows; i++) {
        fputs(i ? ", " : "", out);
        print_reals(out, m->v + (size_t)i * (size_t)m->columns, m->columns);
    }
    fputc(']', out);
}

static void print_value(FILE *out, const ts_config *config, const ts_config_key *key)
{
    const void *member = ts_config_member(config, key);
    const ts_ints *ints = member;
    const ts_reals *reals = member;
    const ts_kinds *kinds = member;
    char text[32];
    switch (key->kind) {
    case TS_KEY_INT:
        fprintf(out, "%d", *(const int *)member);
        break;
    case TS_KEY_REAL_OR_AUTO:
        if (ts_config_is_auto(config, key)) {
            fputs("auto", out);
            break;
        }
        /* fall through */
    case TS_KEY_REAL:
        ts_decimal(*(const double *)member, text);
        fputs(text, out);
        break;
    case TS_KEY_BOOL:
        fputs(*(const bool *)member ? "true" : "false", out);
        break;
    case TS_KEY_STRING:
        print_string(out, *(char *const *)member);
        break;
    case TS_KEY_CHOICE:
        fputs(key->words->word[*(const unsigned *)member], out);
        break;
    case TS_KEY_INTS:
        fputc('[', out);
        for (int i = 0; i < ints->count; i++)
            fprintf(out, "%s%d", i ? ", " : "", ints->v[i]);
        fputc(']', out);
        break;
    case TS_KEY_REALS:
        print_reals(out, reals->v, reals->count);
        break;
    case TS_KEY_WORDS:
        fputc('[', out);
        for (int i = 0; i < kinds->count; i++)
            fprintf(out, "%s%s", i ? ", " : "", key->words->word[kinds->v[i]]);
        fputc(']', out);
        break;
    case TS_KEY_MATRIX:
        print_matrix(out, member);
        break;
    }
}

ts_status ts_config_value_text(const ts_config *config, const ts_config_key *key, char **text)
{
    ts_text value;
    *text = NULL;
    TS_TRY(ts_text_open(&value));
    print_value(value.out, config, key);
    return ts_context(ts_text_finish(&value, text, NULL), "value of %s", key->name);
}

ts_status ts_config_print(const ts_config *config, const char *sections, char **text)
{
    ts_text all;
    *text = NULL;
    TS_TRY(ts_text_open(&all));
    const char *section = "";
    for (int i = 0; ts_config_keys[i].key; i++) {
        const ts_config_key *key = &ts_config_keys[i];
        if (!ts_config_is_of(key, sections))
            continue;
        const char *dot = strchr(key->section, '.'); /* sections nest at most once */
        const char *indent = dot ? "    " : *key->section ? "  " : "";
        if (strcmp(section, key->section))
            fprintf(all.out, "%s%s:\n", dot ? "  " : "", dot ? dot + 1 : key->section);
        section = key->section;
        fprintf(all.out, "%s%s: ", indent, key->key);
        print_value(all.out, config, key);
        fputc('\n', all.out);
    }
    return ts_context(ts_text_finish(&all, text, NULL), "the configuration");
}

/* ---- the reference ---- */

static const char *kind_name(ts_config_kind kind)
{
    static const char *const names[] = {
        [TS_KEY_INT] = "integer",  [TS_KEY_REAL] = "number", [TS_KEY_REAL_OR_AUTO] = "number",
        [TS_KEY_BOOL] = "bool",    [TS_KEY_STRING] = "text", [TS_KEY_CHOICE] = "choice",
        [TS_KEY_INTS] = "list",    [TS_KEY_REALS] = "list",  [TS_KEY_WORDS] = "choices",
        [TS_KEY_MATRIX] = "matrix"};
    return names[kind];
}

static const char *change_name(ts_config_change change)
{
    static const char *const names[] = {[TS_CHANGE_IDLE] = "free",
                                        [TS_CHANGE_FREE] = "free",
                                        [TS_CHANGE_TRAIN] = "free to read",
                                        [TS_CHANGE_FIXED] = "fixed"};
    return names[change];
}

void ts_config_visit(ts_config_visitor *visitor, void *context)
{
    for (int i = 0; ts_config_keys[i].key; i++) {
        const ts_config_key *key = &ts_config_keys[i];
        char range[128] = "", low[32], high[32];
        ts_decimal(key->minimum, low);
        ts_decimal(key->maximum, high);
        if (key->words)
            ts_words_list(key->words, ", ", ", ", range, sizeof range);
        else if (key->minimum != key->maximum)
            snprintf(range, sizeof range, "%s to %s%s", low, high,
                     key->kind == TS_KEY_REAL_OR_AUTO ? ", or auto" : "");
        visitor(context, key->section, key->key, kind_name(key->kind), key->fallback, range,
                change_name(key->change), key->help);
    }
}
