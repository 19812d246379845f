/*
 * tstar quality A B --weights inception.safetensors --measures fid,kid
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"
#include "quality/compare/compare.h"

enum { PROJECTIONS = 256, SEED = 1 };

const cli_usage cli_quality_usage = {
    .name = "quality",
    .arguments = "A B ",
    .about =
        "Measures how far B, say samples, is from A, the data: --measures, with 95 % intervals over images.  Each is\n"
        "  RUN             the samples of a run, where it holds one set\n"
        "  FILE            samples, of tstar sample or of a sweep (.safetensors); images (.npy, .npz: uint8 [n,h,w,c]);\n"
        "                  mean and covariance of features (.npz, as pytorch-fid has them); else a configuration: its\n"
        "                  held-out data.  Then the floor, what training data of the same number score, stands beside\n"
        "  FOLDER          PNG and JPEG files\n"
        "fid, kid, precision and recall are of the features of a network, by --weights; so is frechet with it, else it is\n"
        "of pixels or principal components.  The default is sliced_wasserstein, with --weights all that suit its network.\n"
        "--save-statistics keeps A's mean and covariance, to be A or B again; B may then be left out.",
    .least = 1,
    .most = 2,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_QUALITY};

static void warn(void *context, const char *line)
{
    cli_say((cli_progress *)context, line);
}

/* ---- results ---- */

static void print_row(const char *name, const ts_distance *d, const ts_distance *floor, const char *unit)
{
    printf("%-20s %12.6g", name, d->value);
    if (isfinite(d->half))
        printf(" +- %-10.3g", d->half);
    else
        printf("    %-10s", "");
    if (isfinite(floor->value))
        printf("  floor %.6g +- %.3g", floor->value, floor->half);
    printf("  (%s)\n", unit);
}

static void print_table(const ts_source *a, const ts_source *b, ts_measure_set measures, const ts_compared *c)
{
    printf("%s (%lld) against %s (%lld)%s%s\n", b->name, (long long)b->n, a->name, (long long)a->n,
           c->features ? ", features: " : "", c->features ? c->features : "");
    for (int k = 0; k < TS_MEASURE_COUNT; k++)
        if (ts_measure_in(measures, k)) {
            char unit[128];
            snprintf(unit, sizeof unit, "%s is better; unit: %s",
                     ts_measure_rows[k].larger ? "larger" : "smaller", ts_measure_rows[k].unit);
            print_row(ts_measure_kind_words.word[k], &c->measures.of[k], &c->floor.of[k], unit);
            if (ts_measure_rows[k].inception)
                print_row("fid_infinity", &(ts_distance){c->measures.extrapolated, NAN},
                          &(ts_distance){c->floor.extrapolated, c->floor.of[k].half},
                          "extrapolated to sets without end");
        }
}

static void set_measures(json_t *json, ts_measure_set measures, const ts_measures *m)
{
    char name[64];
    for (int k = 0; k < TS_MEASURE_COUNT; k++) {
        if (!ts_measure_in(measures, k))
            continue;
        const char *word = ts_measure_kind_words.word[k];
        json_object_set_new(json, word, cli_json_real(m->of[k].value));
        snprintf(name, sizeof name, "%s_ci95", word);
        json_object_set_new(json, name, cli_json_real(m->of[k].half));
        snprintf(name, sizeof name, "%s_infinity", word);
        if (ts_measure_rows[k].moments)
            json_object_set_new(json, name, cli_json_real(m->extrapolated));
    }
}

static json_t *count_of(const ts_source *s)
{
    return s->n ? json_integer(s->n) : json_null();
}

static void print_result_json(const ts_source *a, const ts_source *b, ts_measure_set measures,
                              const ts_compared *c)
{
    json_t *json = json_pack("{s:s, s:s, s:o, s:o, s:s?}", "a", a->name, "b", b->name, "n_a", count_of(a),
                             "n_b", count_of(b), "features", c->features);
    set_measures(json, measures, &c->measures);
    if (c->floor_n) {
        json_t *floor = json_pack("{s:I}", "n", (json_int_t)c->floor_n);
        set_measures(floor, measures, &c->floor);
        json_object_set_new(json, "floor", floor);
    }
    cli_print_json(json);
}

/* ---- the command ---- */

static ts_status check(const cli_options *o, const ts_source *a, const ts_source *b, ts_measure_set measures)
{
    const bool features = ts_measures_any(measures, ts_measure_is_of_network) && !(a->mean && b && b->mean);
    if ((features || o->save_statistics) && !o->weights && !(o->save_statistics && a->mean)) {
        int k = 0;
        while (k < TS_MEASURE_COUNT - 1 && !(ts_measure_in(measures, k) && ts_measure_rows[k].network))
            k++;
        return ts_error(
            TS_INVALID,
            "quality: %s is of a trained network's features: --weights FILE, which tools/import_features.py makes "
            "of published weights",
            features ? ts_measure_kind_words.word[k] : "--save-statistics");
    }
    return NULL;
}

static ts_status measure(const cli_options *o, ts_compare_options *options, ts_source *a, ts_source *b)
{
    ts_compared compared;
    TS_TRY(check(o, a, b, options->measures));
    if (!b)
        return ts_compare_save(a, options);
    if (o->save_statistics && !ts_measures_any(options->measures, ts_measure_is_of_moments))
        return ts_error(TS_INVALID,
                        "quality: --save-statistics goes with --measures fid or frechet, or without B");
    TS_TRY(ts_compare(a, b, options, &compared));
    if (o->json)
        print_result_json(a, b, options->measures, &compared);
    else
        print_table(a, b, options->measures, &compared);
    return NULL;
}

static ts_status open_and_measure(const cli_options *o, ts_device *device, ts_progress *progress)
{
    ts_source sources[2] = {{.n = 0}, {.n = 0}};
    const ts_source_options from = {.overrides = o->overrides,
                                    .override_count = o->override_count,
                                    .device = device,
                                    .threads = o->threads,
                                    .progress = progress,
                                    .warn = warn,
                                    .context = progress};
    ts_compare_options options = {.measures = o->measures,
                                  .weights = o->weights,
                                  .device = device,
                                  .threads = o->threads,
                                  .projections = PROJECTIONS,
                                  .seed = SEED,
                                  .save = o->save_statistics,
                                  .progress = progress};
    ts_status status = NULL;
    for (int i = 0; i < o->argument_count && !status; i++)
        status = ts_source_open(o->arguments[i], &from, &sources[i]);
    ts_source *b = o->argument_count > 1 ? &sources[1] : NULL;
    if (!status && !options.measures)
        status = ts_compare_usual(&sources[0], b, o->weights, &options.measures);
    if (!status)
        status = measure(o, &options, &sources[0], b);
    ts_source_release(&sources[1]);
    ts_source_release(&sources[0]);
    return status;
}

static ts_status quality(const cli_options *o, ts_progress *progress)
{
    const ts_device_options options = {.threads = o->threads, .fast = o->fast};
    ts_device *device;
    if (o->argument_count < 2 && !o->save_statistics)
        return ts_error(
            TS_INVALID,
            "quality: B is missing: two sets are compared; with --save-statistics A alone is enough");
    TS_TRY(ts_device_open(o->device, &options, &device));
    if (*device->fallback_reason)
        cli_on_fallback(device->fallback_reason);
    ts_status status = open_and_measure(o, device, progress);
    ts_device_close(device);
    return cli_hint(status, TS_INTERRUPTED, "nothing is kept of what was measured");
}

int cli_quality(int argc, char **argv)
{
    return cli_command(&cli_quality_usage, argc, argv, quality);
}
