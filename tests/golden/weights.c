/* Weights of a golden file: stored as "model.NAME", or made by the rule that its metadata `weights` names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"

static void wrong(const golden *g, const char *name, const char *what)
{
    golden_must(ts_error(TS_FORMAT, "%s: %s: %s", ts_safetensors_path(g->file), name, what));
}

/* ---- the rule's list of parameters ---- */

/* One line, "index name 2x3x4"; returns what follows it. */
static const char *read_line(golden *g, const char *line)
{
    const size_t length = strcspn(line, "\n");
    char text[256], name[128], shape[64], *at = shape;
    long index;
    rule_parameter *p = &g->rule[g->rule_count];
    snprintf(text, sizeof text, "%.*s", (int)length, line);
    if (length >= sizeof text || sscanf(text, "%ld %127s %63s", &index, name, shape) != 3 ||
        index != g->rule_count)
        wrong(g, "parameters", "every line should be an index, counted from 0, a name, and a shape");
    *p = (rule_parameter){.count = 1};
    memcpy(p->name, name, sizeof name);
    do {
        const long long size = strtoll(at, &at, 10);
        if (p->rank == 4 || size < 1 || size > 1 << 20 || (p->count *= size) > 1 << 28)
            wrong(g, name, "its shape should be up to four sizes, joined by x");
        p->shape[p->rank++] = size;
    } while (*at++ == 'x');
    if (at[-1])
        wrong(g, name, "its shape should be up to four sizes, joined by x");
    if (g->rule_count && strcmp(p[-1].name, p->name) >= 0)
        wrong(g, name, "the list of parameters should be sorted");
    g->rule_count++;
    return line + length + (line[length] == '\n');
}

/* First value, sum and sum of squares of every tensor, to 1e-6 of its norm. */
static void check_weights(golden *g)
{
    double *stored;
    int64_t shape[8] = {0};
    golden_read(g, "weights.check", &stored, shape);
    if (shape[0] != g->rule_count || shape[1] != 3)
        wrong(g, "weights.check", "it should have three numbers a parameter of the list");
    int failed = 0;
    for (int i = 0; i < g->rule_count; i++) {
        const rule_parameter *p = &g->rule[i];
        float *values = golden_allocate((size_t)p->count, sizeof *values);
        double sum = 0, squares = 0;
        if (!rule_weight(p, (uint32_t)i, g->fourier_scale, values))
            wrong(g, p->name, "the rule makes no such weight");
        for (int64_t k = 0; k < p->count; k++) {
            sum += (double)values[k];
            squares += (double)values[k] * (double)values[k];
        }
        const double *s = stored + (ptrdiff_t)i * 3, norm = sqrt(s[2]);
        if (!(fabs(values[0] - s[0]) <= 1e-6 * norm && fabs(sum - s[1]) <= 1e-6 * norm &&
              fabs(squares - s[2]) <= 1e-6 * s[2])) {
            printf(
                "FAILED  %s: %.9g, sum %.9g, sum of squares %.9g by the rule, but %.9g, %.9g, %.9g in the file\n",
                p->name, (double)values[0], sum, squares, s[0], s[1], s[2]);
            failed++;
        }
        free(values);
    }
    if (!g->draw) {
        printf("%s  weights.check: %d weights by the rule, %d not as in the file\n",
               failed ? "FAILED" : "ok    ", g->rule_count, failed);
        g->checked++;
        g->failed += failed;
    }
    free(stored);
}

void golden_read_rule(golden *g)
{
    const char *rule = golden_string(g, "weights"), *list = golden_string(g, "parameters");
    int64_t total = 0;
    int lines = 1;
    if (!rule)
        return;
    if (strcmp(rule, "philox 1") != 0)
        wrong(g, "weights", "the rule should be \"philox 1\"");
    if (!list || !*list)
        wrong(g, "parameters", "the metadata should have the list of parameters here");
    for (const char *c = list; *c; c++)
        lines += *c == '\n';
    g->rule = golden_allocate((size_t)lines, sizeof *g->rule);
    while (*list)
        list = read_line(g, list);
    for (int i = 0; i < g->rule_count; i++)
        total += g->rule[i].count;
    if (golden_number(g, "params") != (double)total)
        wrong(g, "params", "it should be the number of all weights in the list of parameters");
    if (golden_string(g, "fourier_scale"))
        g->fourier_scale = golden_number(g, "fourier_scale");
    rule_check_vectors();
    check_weights(g);
}

int golden_rule_index(const golden *g, const char *name)
{
    for (int i = 0; i < g->rule_count; i++)
        if (strcmp(g->rule[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- loading ---- */

/* values of the parameter, from the file or by the rule; used[index in the rule's list]. */
static void weights_of(golden *g, const ts_param_info *info, float *values, bool *used)
{
    const int index = golden_rule_index(g, info->name);
    if (index < 0) {
        char name[128];
        snprintf(name, sizeof name, "model.%s", info->name);
        golden_must(ts_safetensors_read(g->file, name, TS_ST_F32, info->rank, info->shape, values));
        return;
    }
    const rule_parameter *p = &g->rule[index];
    bool same = p->rank == info->rank;
    for (int i = 0; same && i < p->rank; i++)
        same = p->shape[i] == info->shape[i];
    if (!same)
        wrong(g, p->name, "the engine's parameter has another shape");
    if (!rule_weight(p, (uint32_t)index, g->fourier_scale, values))
        wrong(g, p->name, "the rule makes no such weight");
    used[index] = true;
}

void golden_move(const golden *g, uint32_t stream, int64_t count, float *values)
{
    for (int64_t i = 0; g->draw && i < count; i++) {
        const double uniform =
            (double)ts_uniform_from(ts_philox(g->draw, (uint32_t)i, stream, TS_STREAM_TEST, 0).v[0]);
        values[i] *= (float)(1 + sqrt(3) * GOLDEN_ROUNDING * (2 * uniform - 1));
    }
}

void golden_load_params(golden *g, ts_params *params)
{
    bool *used = golden_allocate((size_t)g->rule_count + 1, sizeof *used);
    for (ts_param p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        const int64_t count = golden_count(info);
        float *values = golden_allocate((size_t)count, sizeof *values);
        weights_of(g, info, values, used);
        if (info->trained) /* constants stay in float32: nothing rounds them */
            golden_move(g, (uint32_t)p, count, values);
        golden_must(ts_params_set(params, p, TS_BUFFER_VALUE, values));
        free(values);
    }
    for (int i = 0; i < ts_safetensors_count(g->file); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(g->file, i);
        if (strncmp(info->name, "model.", 6) == 0 && !info->read)
            wrong(g, info->name, "the engine's model has no such parameter");
    }
    for (int i = 0; i < g->rule_count; i++)
        if (!used[i])
            wrong(g, g->rule[i].name, "the engine's model has no such parameter");
    free(used);
}
