#include "base/yaml_bounds.h"

#include <stdbool.h>
#include <yaml.h>

/* Configurations nest four deep, and need none of the others. */
enum { LARGEST = 1 << 20, DEEPEST = 32, MOST_ANCHORS = 64, MOST_DIRECTIVES = 8 };

typedef struct counts {
    int depth, anchors, directives;
} counts;

/* The scanner looks ahead by 1024 characters at most, so it has not gone far beyond a limit when it tells. */
static const char *count(counts *c, yaml_token_type_t type)
{
    switch (type) {
    case YAML_BLOCK_SEQUENCE_START_TOKEN:
    case YAML_BLOCK_MAPPING_START_TOKEN:
    case YAML_FLOW_SEQUENCE_START_TOKEN:
    case YAML_FLOW_MAPPING_START_TOKEN:
        return ++c->depth > DEEPEST ? "nested more than 32 deep" : NULL;
    case YAML_BLOCK_END_TOKEN:
    case YAML_FLOW_SEQUENCE_END_TOKEN:
    case YAML_FLOW_MAPPING_END_TOKEN:
        c->depth -= c->depth > 0;
        return NULL;
    case YAML_ANCHOR_TOKEN:
        return ++c->anchors > MOST_ANCHORS ? "more than 64 anchors" : NULL;
    case YAML_TAG_DIRECTIVE_TOKEN:
        return ++c->directives > MOST_DIRECTIVES ? "more than 8 directives" : NULL;
    default:
        return NULL;
    }
}

const char *ts_yaml_bounds(const char *text, size_t length, int *line)
{
    yaml_parser_t parser;
    *line = 0;
    if (length > LARGEST)
        return "longer than 1 MiB";
    if (!yaml_parser_initialize(&parser)) /* nor will the parser be */
        return NULL;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    const char *excess = NULL;
    counts c = {0};
    bool more = true;
    while (!excess && more) {
        yaml_token_t token;
        if (!yaml_parser_scan(&parser, &token))
            break;
        more = token.type != YAML_STREAM_END_TOKEN && token.type != YAML_NO_TOKEN;
        excess = count(&c, token.type);
        *line = (int)token.start_mark.line + 1;
        yaml_token_delete(&token);
    }
    yaml_parser_delete(&parser);
    return excess;
}
