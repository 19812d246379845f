/* Results as JSON. */
#include <math.h>
#include <stdio.h>
#include "cli/cli.h"

json_t *cli_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void cli_print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(json);
}

void cli_print_list(json_t *list)
{
    cli_print_json(json_incref(json_array_size(list) == 1 ? json_array_get(list, 0) : list));
    json_decref(list);
}
