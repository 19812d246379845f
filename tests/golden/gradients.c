/* Gradients of all parameters, which a golden file holds whole or, beside weights made by a rule, as
 * sketches. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"

int64_t golden_count(const ts_param_info *info)
{
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++)
        count *= info->shape[i];
    return count;
}

static void name_of(const golden *g, const char *prefix, const ts_param_info *info, char name[160])
{
    snprintf(name, 160, "%s%s%s", prefix, g->rule ? "sketch." : "", info->name);
}

/* The norm of the whole reference gradient, all parameters together. */
static double reference_norm(golden *g, const ts_params *params, const char *prefix)
{
    double sum = 0;
    char name[160];
    g->gradient_tensors = 0;
    for (ts_param p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        double *values;
        if (!info->trained)
            continue;
        name_of(g, prefix, info, name);
        const int64_t count = golden_read(g, name, &values, NULL);
        if (g->rule && count != 5)
            golden_must(ts_error(TS_FORMAT, "%s: a sketch should have 5 numbers", name));
        for (int64_t i = g->rule ? 4 : 0; i < count; i++)
            sum += values[i] * values[i];
        free(values);
        g->gradient_tensors++;
    }
    return sqrt(sum);
}

/* Whether `name` is a word of the metadata grad.zero. */
static bool is_zero(const golden *g, const char *name)
{
    const char *words = golden_string(g, "grad.zero");
    const size_t length = strlen(name);
    for (const char *at = words; at && (at = strstr(at, name)); at += length)
        if ((at == words || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

void golden_check_gradients(golden *g, const ts_params *params, const char *prefix)
{
    char name[160];
    double sum = 0;
    g->gradient_scale = reference_norm(g, params, prefix);
    for (ts_param p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        if (!info->trained)
            continue;
        const int64_t count = golden_count(info);
        float *gradient = golden_allocate((size_t)count, sizeof *gradient);
        double *values = golden_allocate((size_t)count, sizeof *values);
        golden_must(ts_params_get(params, p, TS_BUFFER_GRADIENT, gradient));
        for (int64_t i = 0; i < count; i++) {
            values[i] = (double)gradient[i];
            sum += values[i] * values[i];
        }
        name_of(g, prefix, info, name);
        if (g->rule) {
            double sketch[5];
            rule_sketch(values, count, (uint32_t)golden_rule_index(g, info->name), sketch);
            golden_check_sketch(g, name, sketch, count, is_zero(g, info->name));
        } else {
            golden_check(g, name, values, count, GOLDEN_GRADIENT);
        }
        free(gradient);
        free(values);
    }
    snprintf(name, sizeof name, "%snorm", prefix);
    sum = sqrt(sum);
    if (golden_has(g, name))
        golden_check(g, name, &sum, 1, GOLDEN_GRADIENT);
}
