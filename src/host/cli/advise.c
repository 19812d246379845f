/*
 * tstar advise RUN: what the measurements of a finished sweep advise for a budget.
 */
#include <math.h>
#include <stdio.h>
#include "cli/cli.h"
#include "run/scores.h"
#include "sweep/advice/advise.h"

const cli_usage cli_advise_usage = {
    .name = "advise",
    .arguments = "RUN ",
    .about =
        "Names the T, start, sampler and number of steps whose samples came nearest to held-out data in the sweep stored in\n"
        "RUN, among those that keep the budget; without one, among all.  Seconds are told by what the sweep's own work took,\n"
        "on the machine and at the batch of its timings; between two measured numbers of steps the distance is interpolated.",
    .least = 1,
    .most = 1,
    .takes = CLI_JSON | CLI_BUDGET,
};

/* ---- JSON ---- */

static void put_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, cli_json_real(value));
}

/* A whole number; null where it is not known, or none that JSON's readers tell from its neighbours. */
static void put_count(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, fabs(value) < 0x1p53 ? json_integer((json_int_t)value) : json_null());
}

static json_t *json_of(const ts_advised *a)
{
    json_t *object = json_object();
    put_real(object, "T", a->T);
    json_object_set_new(object, "start", json_string(ts_start_kind_words.word[a->start]));
    json_object_set_new(object, "sampler", json_string(ts_sampler_kind_words.word[a->sampler]));
    put_count(object, "steps", a->steps);
    put_real(object, "nfe", a->nfe);
    put_real(object, "seconds_per_image", a->seconds.mean);
    put_real(object, "seconds_per_image_spread", a->seconds.half);
    put_real(object, "predicted_distance", a->distance.mean);
    put_real(object, "predicted_distance_ci95", a->distance.half);
    put_count(object, "measured_steps", a->row->steps);
    put_real(object, "measured_nfe", a->row->nfe);
    put_real(object, "measured_seconds_per_image", a->row->seconds_per_image.mean);
    put_real(object, "measured_distance", a->row->sliced_wasserstein.mean);
    put_real(object, "measured_distance_ci95", a->row->sliced_wasserstein.half);
    put_real(object, "bpd", a->bound->terms.bpd.mean);
    put_real(object, "bpd_ci95", a->bound->terms.bpd.half);
    return object;
}

static void show_json(const ts_advice *advice)
{
    json_t *object = json_of(&advice->best);
    put_real(object, "training_and_fit_seconds", advice->before);
    put_real(object, "total_seconds", advice->total);
    json_object_set_new(object, "candidates", json_integer(advice->count));
    json_object_set_new(object, "not_told_apart", json_integer(advice->tied));
    json_object_set_new(object, "within_interval", json_integer(advice->within));
    json_object_set_new(object, "cheapest_within_interval", json_of(&advice->cheapest));
    cli_print_json(object);
}

/* ---- text ---- */

static void show_interval(const char *before, ts_interval value)
{
    printf(isfinite(value.half) ? "%s%.4g +- %.2g" : "%s%.4g", before, value.mean, value.half);
}

static void show_choice(const ts_advised *a)
{
    printf("T = %g from %s by %s", a->T, ts_start_kind_words.word[a->start],
           ts_sampler_kind_words.word[a->sampler]);
    if (isfinite(a->steps))
        printf(", %.0f steps", a->steps);
    printf(", %.4g evaluations", a->nfe);
    if (isfinite(a->seconds.mean))
        show_interval(", about ", a->seconds);
    puts(isfinite(a->seconds.mean) ? " s an image" : "");
}

static void show_distance(const ts_advised *a, int of)
{
    const ts_sample_row *row = a->row;
    if (a->nfe != row->nfe)
        show_interval("distance  predicted ", a->distance);
    show_interval(a->nfe != row->nfe ? ", measured " : "distance  ", row->sliced_wasserstein);
    if (a->nfe != row->nfe)
        printf(" at %.0f steps", row->steps);
    printf(" (sliced Wasserstein%s)\n", of > 1 ? "; the smallest of many, so rather too small" : "");
    if (isfinite(a->bound->terms.bpd.mean)) {
        show_interval("bound     ", a->bound->terms.bpd);
        puts(" bits/dim");
    }
}

static void show_times(const ts_results *r, const ts_advice *advice, double images)
{
    char before[32], total[32];
    ts_duration_text(advice->before, before);
    printf("time      %s for training and fit", before);
    if (isfinite(advice->total)) {
        ts_duration_text(advice->total, total);
        printf(", %s with %.0f images", total, images);
    }
    printf("; measured with %.0f images at once\n", r->costs.batch);
}

static bool is_cheapest(const ts_advice *advice)
{
    return advice->cheapest.row == advice->best.row && advice->cheapest.nfe == advice->best.nfe;
}

static void show_others(const ts_advice *advice)
{
    const int others = advice->count - 1;
    if (!others)
        return;
    printf("others    %d fit, of which %d %s not told apart from it and %d %s within its interval", others,
           advice->tied, advice->tied == 1 ? "is" : "are", advice->within,
           advice->within == 1 ? "lies" : "lie");
    if (is_cheapest(advice)) {
        puts(advice->within ? ", none of them cheaper" : "");
        return;
    }
    fputs("; the cheapest of these:\n          ", stdout);
    show_choice(&advice->cheapest);
}

static void show_text(const ts_results *r, const ts_advice *advice, const char *dir, double images)
{
    const ts_advised *a = &advice->best;
    show_choice(a);
    show_distance(a, advice->count);
    show_times(r, advice, images);
    show_others(advice);
    if (ts_scores[r->scores[0]].per_T)
        return;
    printf("tstar sample %s --T %g --start %s --sampler %s", dir, a->T, ts_start_kind_words.word[a->start],
           ts_sampler_kind_words.word[a->sampler]);
    if (isfinite(a->steps))
        printf(" --set sample.steps=%.0f", a->steps);
    putchar('\n');
}

/* ---- the command ---- */

static double limit_of(double given)
{
    return given > 0 ? given : INFINITY;
}

static ts_status advise(const cli_options *o)
{
    const double images = o->images ? o->images : NAN;
    const ts_budget budget = {.nfe = limit_of(o->nfe),
                              .seconds_per_image = limit_of(o->seconds_per_image),
                              .hours = limit_of(o->hours),
                              .images = images};
    ts_results results;
    ts_advice advice;
    if (o->hours > 0 && !o->images)
        return ts_error(TS_INVALID, "advise: --hours needs --images N, how many are to be drawn");
    TS_TRY(ts_results_read(o->arguments[0], &results));
    ts_status status = ts_context(ts_advise(&results, &budget, &advice), "advise");
    if (!status && o->json)
        show_json(&advice);
    else if (!status)
        show_text(&results, &advice, o->arguments[0], images);
    ts_results_release(&results);
    return status;
}

int cli_advise(int argc, char **argv)
{
    cli_options options;
    const int result = cli_parse(&cli_advise_usage, argc, argv, &options);
    if (result >= 0)
        return result;
    ts_status status = advise(&options);
    cli_options_free(&options);
    return cli_finish(status);
}
