/*
 * tstar sample RUN --T 0.4 --start glow -n 64 --out samples.png
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/decimal.h"
#include "base/safetensors.h"
#include "cli/cli.h"
#include "run/evaluate.h"
#include "report/png.h"

static const cli_usage usage = {
    .name = "sample",
    .arguments = "RUN|CONFIG ",
    .about =
        "Draws -n samples by the reverse process from T, started at --start.  --out NAME.png gets a grid of "
        "images,\n"
        "--out NAME.safetensors the values [n,h,w,c] in model scale ([-1, 1] for images); the default is\n"
        "RUN/samples_T<T>_<start>.png, or .safetensors for data that are no images.",
    .least = 1,
    .most = 1,
    .takes =
        CLI_SET | CLI_DEVICE | CLI_JSON | CLI_T | CLI_START | CLI_COUNT | CLI_SAMPLER | CLI_OUT | CLI_RAW};

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
static ts_status check_path(const char *path, bool image)
{
    const bool picture = ends_with(path, ".png");
    if (!picture && !ends_with(path, ".safetensors"))
        return ts_error(TS_INVALID, "sample: --out %s: should end in .png or .safetensors", path);
    if (picture && !image)
        return ts_error(TS_INVALID, "sample: %s: vectors have no picture; use --out NAME.safetensors", path);
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder)
        return ts_error(TS_NO_MEMORY, "sample: out of memory");
    const bool writable = !access(folder, W_OK | X_OK);
    free(folder);
    return writable ? NULL : ts_error(TS_INVALID, "%s: cannot write: %s", path, strerror(errno));
}

/* Where --out leaves it open. */
static char *default_path(const ts_run *run, double T, ts_start_kind start, bool image)
{
    char text[32], name[96];
    ts_T_text(T, text);
    snprintf(name, sizeof name, "samples_T%s_%s.%s", text, ts_start_kind_words.word[start],
             image ? "png" : "safetensors");
    return run->dir ? ts_run_path(run, name) : strdup(name);
}

static void print_result(const cli_options *o, const ts_samples *s, ts_start_kind start, const char *path)
{
    if (o->json) {
        json_t *json = json_pack("{s:f, s:s, s:i, s:o, s:o, s:s}", "T", o->T[0], "start",
                                 ts_start_kind_words.word[start], "count", s->n, "nfe", cli_json_real(s->nfe),
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
    char *path = o->out ? strdup(o->out) : default_path(run, o->T[0], start, image);
    ts_status status = path ? NULL : ts_error(TS_NO_MEMORY, "sample: out of memory");
    if (!status)
        status = check_path(path, image);
    if (!status)
        status = ts_evaluate_sampler(run->config, o->has_sampler ? o->sampler : run->config->sample.sampler,
                                     o->T[0], &sampler);
    if (!status)
        status = ts_evaluate_samples(run, &sampler, start, o->count ? o->count : 64, progress, &samples);
    if (!status)
        status = write_out(path, &samples);
    if (!status)
        print_result(o, &samples, start, path);
    ts_samples_release(&samples);
    free(path);
    return status;
}

static ts_status sample(const cli_options *o, ts_progress *progress)
{
    ts_run *run;
    if (o->T_count != 1 || o->start_count > 1)
        return ts_error(TS_INVALID, "sample: one --T and at most one --start, such as --T 0.4 --start glow");
    TS_TRY(cli_open_trained(o, &run));
    ts_status status = draw(o, run, progress);
    ts_run_close(run);
    return status;
}

int cli_sample(int argc, char **argv)
{
    return cli_command(&usage, argc, argv, sample);
}
