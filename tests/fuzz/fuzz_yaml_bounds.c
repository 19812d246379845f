/* What passes the bounds on YAML is parsed in no time. */
#include "fuzz.h"

#include <yaml.h>
#include "base/yaml_bounds.h"

void fuzz_begin(void)
{
    fuzz_seed_text("a: [1, {b: 'c', \"d\": [[e]]}]\n- - - x\n? y\n: z\n&n f: *n\n");
    fuzz_seed_text("%TAG !x! y\n--- !x!z |\n  text [[[[\n...\n---\n[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int line;
    if (ts_yaml_bounds((const char *)data, size, &line))
        return 0;
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, data, size);
    if (yaml_parser_load(&parser, &document))
        yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return 0;
}
