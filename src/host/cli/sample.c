/*
 * tstar sample RUN --T 0.4 --start glow -n 64 --out samples.png
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/decimal.h"
#include "base/safetensors.h"
#include "cli/cli.h"
#include "run/evaluate.h"
#include "report/png.h"

const cli_usage cli_sample_usage = {
    .name = "sample",
    .arguments = "RUN|CONFIG ",
    .about =
        "Draws -n samples by the reverse process from T, started at --start.  --out NAME.png gets a grid of images,\n"
        "--out NAME.safetensors the values [n,h,w,c], images in [-1, 1].  A file that is there already\n"
        "is replaced with --force alone.  The default is RUN/samples_T<T>_<start>_<sampler>.png, or .safetensors for data\n"
        "that are no images; where that is there, a number follows: ..._2.png, ..._3.png.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_T | CLI_START | CLI_COUNT | CLI_SAMPLER | CLI_OUT |
             CLI_RAW | CLI_SCORE | CLI_FORCE};

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static ts_status write_values(const char *path, const ts_samples *s)
{
    const int64_t shape[] = {s->n, s->h, s->w, s->c};
    ts_safetensors_writer *writer;
    TS_TRY(ts_safetensors_create(path, &writer));
    ts_safetensors_declare(writer, "samples", TS_ST_F32, 4, shape);
    ts_status status = ts_safetensors_append(writer, s->x, (size_t)s->n * s->h * s->w * s->c * sizeof *s->x);
    if (!status)
        return ts_safetensors_commit(writer);
    ts_safetensors_abandon(writer);
    return status;
}

static ts_status write_out(const char *path, const ts_samples *s)
{
    if (ends_with(path, ".safetensors"))
        return write_values(path, s);
    return ts_png_grid(path, s->x, s->n, s->h, s->w, s->c, 0, 0);
}

/* Whether the samples can be written there; worth knowing before they are drawn. */
static ts_status check_path(const char *path, bool image, bool force)
{
    const bool picture = ends_with(path, ".png");
    if (!picture && !ends_with(path, ".safetensors"))
        return ts_error(TS_INVALID, "sample: --out %s: should end in .png or .safetensors", path);
    if (picture && !image)
        return ts_error(TS_INVALID, "sample: %s: vectors have no picture; use --out NAME.safetensors", path);
    if (!force && !access(path, F_OK))
        return ts_error(TS_INVALID, "sample: %s: is there already; --force replaces it", path);
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder)
        return ts_error(TS_NO_MEMORY, "sample: out of memory");
    const bool writable = !access(folder, W_OK | X_OK);
    free(folder);
    return writable ? NULL : ts_error(TS_INVALID, "%s: cannot write: %s", path, strerror(errno));
}

/* Where --out leaves it open: a name that is free, but for `force`. */
static ts_status default_path(const ts_run *run, double T, const char *start, const char *sampler, bool image,
                              bool force, char **path)
{
    char text[32], number[16] = "";
    ts_T_text(T, text);
    for (int i = 2; i < INT_MAX; i++) {
        if (asprintf(path, "%s%ssamples_T%s_%s_%s%s.%s", run->dir ? run->dir : "", run->dir ? "/" : "", text,
                     start, sampler, number, image ? "png" : "safetensors") < 0)
            break;
        if (force || access(*path, F_OK))
            return NULL;
        free(*path);
        snprintf(number, sizeof number, "_%d", i);
    }
    *path = NULL;
    return ts_error(TS_NO_MEMORY, "sample: out of memory");
}

static void print_result(const cli_options *o, const ts_samples *s, const char *start, const char *sampler,
                         const char *path)
{
    if (o->json) {
        json_t *json = json_pack("{s:f, s:s, s:s, s:i, s:o, s:o, s:s}", "T", o->T[0], "start", start,
                                 "sampler", sampler, "count", s->n, "nfe", cli_json_real(s->nfe),
                                 "seconds_per_image", cli_json_real(s->seconds_per_image.mean), "path", path);
        cli_print_json(json);
    } else
        printf("%d samples, %.0f network evaluations and %.4g s each: %s\n", s->n, s->nfe,
               s->seconds_per_image.mean, path);
}

static ts_status draw(const cli_options *o, ts_run *run, ts_progress *progress)
{
    const ts_start_kind start = o->start_count ? o->starts[0] : TS_START_NORMAL;
    const bool image = run->dataset->test.h > 1 && run->dataset->test.w > 1;
    ts_sampler_config sampler;
    ts_samples samples = {0};
    const ts_sampler_kind kind = o->has_sampler ? o->sampler : run->config->sample.sampler;
    const char *start_word = ts_start_kind_words.word[start], *kind_word = ts_sampler_kind_words.word[kind];
    char named[64];
    char *path = o->out ? strdup(o->out) : NULL;
    snprintf(named, sizeof named, "%s%s%s", start_word, o->has_score ? "_" : "",
             o->has_score ? ts_score_kind_words.word[o->score.kind] : "");
    ts_status status = o->out && !path ? ts_error(TS_NO_MEMORY, "sample: out of memory") : NULL;
    if (!o->out)
        status = default_path(run, o->T[0], named, kind_word, image, o->force, &path);
    if (!status)
        status = check_path(path, image, o->force);
    if (!status)
        status = cli_say_score((cli_progress *)progress, run, start);
    if (!status)
        status = ts_evaluate_sampler(run->config, kind, o->T[0], &sampler);
    if (!status)
        status = ts_evaluate_samples(run, &sampler, start, o->count ? o->count : 64, progress, &samples);
    if (!status)
        status = write_out(path, &samples);
    if (!status)
        print_result(o, &samples, start_word, kind_word, path);
    ts_samples_release(&samples);
    free(path);
    return status;
}

static ts_status sample(const cli_options *o, ts_progress *progress)
{
    ts_run *run;
    if (o->T_count != 1 || o->start_count > 1)
        return ts_error(TS_INVALID, "sample: one --T and at most one --start, such as --T 0.4 --start glow");
    TS_TRY(cli_open_trained(o, TS_WORK_SAMPLE, &run));
    cli_watch(progress, run);
    ts_status status = draw(o, run, progress);
    ts_run_close(run);
    return cli_hint(status, TS_INTERRUPTED, "no samples were written");
}

int cli_sample(int argc, char **argv)
{
    return cli_command(&cli_sample_usage, argc, argv, sample);
}
