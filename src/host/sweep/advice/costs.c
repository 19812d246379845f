#include "sweep/advice/costs.h"

#include <math.h>
#include <stdlib.h>

#include "base/order.h"
#include "sweep/fields.h"

/* ---- as they are stored ---- */

#define NUMBER(type, name, member) TS_FIELD(NUMBER, NULL, type, name, member, "")
#define COUNT(type, name, member)  TS_FIELD(COUNT, NULL, type, name, member, "")

const ts_field ts_cost_fields[] = {
    COUNT(ts_costs, batch, batch),
    NUMBER(ts_costs, training_step_seconds, training_step),
    {0},
};

const ts_field ts_evaluation_cost_fields[] = {
    TS_FIELD(WORD, &ts_sampler_kind_words, ts_evaluation_cost, sampler, sampler, ""),
    NUMBER(ts_evaluation_cost, seconds_per_image, seconds),
    NUMBER(ts_evaluation_cost, spread_seconds, spread),
    COUNT(ts_evaluation_cost, count, count),
    {0},
};

const ts_field ts_start_cost_fields[] = {
    TS_FIELD(WORD, &ts_start_kind_words, ts_start_cost, start, start, ""),
    NUMBER(ts_start_cost, seconds_per_image, seconds),
    NUMBER(ts_start_cost, spread_seconds, spread),
    NUMBER(ts_start_cost, fit_seconds, fit),
    {0},
};

/* ---- medians ---- */

static double median(double *values, int count)
{
    if (!count)
        return NAN;
    qsort(values, (size_t)count, sizeof *values, ts_ascending);
    return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

/* The median, and as half the standard deviation that a normal number with this median of deviations has. */
static ts_interval center(double *values, int count)
{
    const double middle = median(values, count);
    for (int i = 0; i < count; i++)
        values[i] = fabs(values[i] - middle);
    return (ts_interval){middle, count > 1 ? 1.4826 * median(values, count) : NAN};
}

/* ---- what was measured ---- */

/* The rows of the first score come first. */
static int rows_of(const ts_results *r)
{
    return r->T_count * r->start_count * r->sampler_count;
}

static ts_evaluation_cost evaluation_of(const ts_results *r, ts_sampler_kind sampler, double *values)
{
    int count = 0;
    for (int i = 0; i < rows_of(r); i++) {
        const ts_sample_row *row = &r->samples[i];
        const double seconds = (row->seconds_per_image.mean - row->start_seconds) / row->nfe;
        if (row->sampler.kind == sampler && seconds > 0 && isfinite(seconds))
            values[count++] = seconds;
    }
    const ts_interval seconds = center(values, count);
    return (ts_evaluation_cost){sampler, seconds.mean, seconds.half, count};
}

/* The longest: with one that serves every T the others only read it. */
static double fit_of(const ts_results *r, ts_start_kind start)
{
    double seconds = 0;
    for (int i = 0; i < r->fit_count; i++)
        if (r->fits[i].start == start)
            seconds = fmax(seconds, r->fits[i].seconds);
    return seconds;
}

static ts_start_cost start_of(const ts_results *r, int start, double *values)
{
    int count = 0;
    for (int i = 0; i < rows_of(r); i++)
        if (i / r->sampler_count % r->start_count == start && isfinite(r->samples[i].start_seconds))
            values[count++] = r->samples[i].start_seconds;
    const ts_interval seconds = center(values, count);
    return (ts_start_cost){r->starts[start], seconds.mean, seconds.half, fit_of(r, r->starts[start])};
}

ts_status ts_costs_measure(ts_results *r)
{
    ts_costs *c = &r->costs;
    double *values = malloc(sizeof *values * (size_t)(rows_of(r) + 1));
    free(c->evaluations);
    free(c->starts);
    c->evaluations = calloc(TS_SAMPLER_COUNT, sizeof *c->evaluations);
    c->starts = calloc((size_t)r->start_count + 1, sizeof *c->starts);
    c->evaluation_count = c->start_count = 0;
    if (!values || !c->evaluations || !c->starts) {
        free(values);
        return ts_error(TS_NO_MEMORY, "no memory for what the work costs");
    }
    for (int kind = 0; kind < TS_SAMPLER_COUNT; kind++) {
        const ts_evaluation_cost cost = evaluation_of(r, (ts_sampler_kind)kind, values);
        if (cost.count > 0)
            c->evaluations[c->evaluation_count++] = cost;
    }
    for (int start = 0; start < r->start_count; start++)
        c->starts[c->start_count++] = start_of(r, start, values);
    free(values);
    return NULL;
}

/* ---- what other work would cost ---- */

const ts_evaluation_cost *ts_costs_evaluation(const ts_costs *costs, ts_sampler_kind sampler)
{
    for (int i = 0; i < costs->evaluation_count; i++)
        if (costs->evaluations[i].sampler == sampler)
            return &costs->evaluations[i];
    return NULL;
}

const ts_start_cost *ts_costs_start(const ts_costs *costs, ts_start_kind start)
{
    for (int i = 0; i < costs->start_count; i++)
        if (costs->starts[i].start == start)
            return &costs->starts[i];
    return NULL;
}

ts_interval ts_costs_image(const ts_costs *costs, ts_start_kind start, ts_sampler_kind sampler, double nfe)
{
    const ts_evaluation_cost *evaluation = ts_costs_evaluation(costs, sampler);
    const ts_start_cost *draw = ts_costs_start(costs, start);
    if (!evaluation || !draw)
        return (ts_interval){NAN, NAN};
    return (ts_interval){draw->seconds + nfe * evaluation->seconds,
                         hypot(draw->spread, nfe * evaluation->spread)};
}

double ts_costs_before(const ts_results *r, ts_start_kind start)
{
    const ts_start_cost *draw = ts_costs_start(&r->costs, start);
    const double training = r->costs.training_step * r->train_steps;
    return (isfinite(training) ? training : 0) + (draw && isfinite(draw->fit) ? draw->fit : 0);
}
