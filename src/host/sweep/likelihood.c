/* The likelihood by the ODE at each T of a sweep. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/text.h"
#include "run/evaluate.h"
#include "run/scores.h"

/* What a part keeps of each start. */
enum { LOG_PROB, LOG_PROB_HALF, BPD, BPD_HALF, NFE, NUMBERS };

/* `first`, and behind it what the numbers depend on: each start with what it takes of the configuration beside its
 * sections, or those sections. */
static ts_status write_words(const ts_sweep *s, const char *first, bool sections, char **written)
{
    const ts_results *r = s->results;
    ts_text text;
    TS_TRY(ts_text_open(&text));
    fputs(first, text.out);
    for (int i = 0; i < r->start_count; i++) {
        char own[TS_START_INPUTS] = "";
        if (!sections)
            ts_start_inputs(r->starts[i], s->config, own);
        fprintf(text.out, " %s%s",
                sections ? ts_starts[r->starts[i]].sections : ts_start_kind_words.word[r->starts[i]], own);
    }
    if (!sections && s->config->data.block > 1) /* the intervals are stored */
        fprintf(text.out, " in blocks of %d", s->config->data.block);
    return ts_text_finish(&text, written, NULL);
}

static ts_status measure(ts_worker *w, const ts_part *part, double *numbers)
{
    const ts_results *r = w->sweep->results;
    ts_run view;
    ts_likelihood_row rows[TS_START_COUNT];
    TS_TRY(ts_worker_view(w, part->score, r->T[part->T], &view));
    TS_TRY(ts_evaluate_likelihood(&view, 1, &r->T[part->T], r->start_count, r->starts, &w->progress, rows));
    for (int i = 0; i < r->start_count; i++) {
        double *to = numbers + i * NUMBERS;
        to[LOG_PROB] = rows[i].log_prob.mean;
        to[LOG_PROB_HALF] = rows[i].log_prob.half;
        to[BPD] = rows[i].bpd.mean;
        to[BPD_HALF] = rows[i].bpd.half;
        to[NFE] = rows[i].nfe;
    }
    return NULL;
}

static ts_status load_or_measure(ts_worker *w, ts_part *part, const ts_part_file *file, double *numbers)
{
    const ts_part_tensor tensors[] = {
        {"seconds", TS_ST_F64, 0, {0}, &part->seconds},
        {"log_prob_bpd_nfe", TS_ST_F64, 2, {w->sweep->results->start_count, NUMBERS}, numbers}};
    bool found;
    TS_TRY(ts_part_load(w->sweep, file, tensors, 2, &found));
    part->reused = found;
    if (found)
        return NULL;
    const double began = ts_seconds();
    TS_TRY(measure(w, part, numbers));
    part->seconds = ts_seconds() - began;
    return ts_part_save(w->sweep, file, tensors, 2);
}

/* One solution at T tells the likelihood from every start: the x_T are the same. */
ts_status ts_part_likelihood(ts_worker *w, ts_part *part)
{
    const ts_results *r = w->sweep->results;
    double numbers[TS_START_COUNT * NUMBERS];
    char T[32], name[96], *inputs = NULL, *sections = NULL, first[64];
    ts_worker_watch(w, part);
    ts_T_text(r->T[part->T], T);
    snprintf(name, sizeof name, "likelihood_%s_T%s", ts_score_kind_words.word[r->scores[part->score]], T);
    snprintf(first, sizeof first, "likelihood %s", ts_scores[r->scores[part->score]].sections);
    ts_status status = write_words(w->sweep, name, false, &inputs);
    if (!status)
        status = write_words(w->sweep, first, true, &sections);
    if (!status)
        status = load_or_measure(w, part, &(ts_part_file){"parts", name, sections, inputs}, numbers);
    if (ts_status_code(status) == TS_NOT_FINITE) { /* like samples that run away: its numbers stay unknown */
        ts_status_free(status);
        status = NULL;
        for (int i = 0; i < r->start_count * NUMBERS; i++)
            numbers[i] = NAN;
    }
    for (int i = 0; i < r->start_count && !status; i++) {
        ts_bound_row *row = ts_results_bound(r, part->score, part->T, i);
        const double *of = numbers + i * NUMBERS;
        row->ode_log_prob = (ts_interval){of[LOG_PROB], of[LOG_PROB_HALF]};
        row->ode_bpd = (ts_interval){of[BPD], of[BPD_HALF]};
        row->ode_nfe = of[NFE];
    }
    free(inputs);
    free(sections);
    return status;
}
