/*
 * tstar train CONFIG --out RUN [--resume]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "run/checkpoint.h"
#include "run/training/trainer.h"

const cli_usage cli_train_usage = {
    .name = "train",
    .arguments = "CONFIG ",
    .about =
        "Trains the score network of CONFIG (YAML) in the run directory --out: log.jsonl, checkpoint.safetensors,\n"
        "config.yaml.  With --resume it continues from the checkpoint, bitwise as if it had never stopped, up to\n"
        "the run's own train.steps, or those of --set train.steps=N.  Ctrl-C ends at the next step and writes a checkpoint.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_OUT | CLI_RESUME};

static void add_stars(json_t *json, const ts_trainer_result *r)
{
    for (int i = 0; i < TS_CROSSING_COUNT; i++) {
        const struct {
            const char *end;
            double value;
        } numbers[] = {{"", r->stars[i].T}, {"_low", r->stars[i].low}, {"_high", r->stars[i].high}};
        for (int k = 0; k < 3; k++) {
            char key[48];
            snprintf(key, sizeof key, "T_star_%s%s", ts_start_kind_words.word[ts_crossing_starts[i]],
                     numbers[k].end);
            json_object_set_new(json, key, cli_json_real(r->stars[i].T > 0 ? numbers[k].value : NAN));
        }
    }
}

/* "T* from normal 0.62 (0.58 to 0.7), from gaussian ...". */
static void print_stars(const ts_trainer_result *r)
{
    const char *before = "T*";
    for (int i = 0; i < TS_CROSSING_COUNT; i++) {
        const ts_crossing_T *star = &r->stars[i];
        if (!(star->T > 0))
            continue;
        printf("%s from %s %.2f (%.2f to %.2f)", before, ts_start_kind_words.word[ts_crossing_starts[i]],
               star->T, star->low, star->high);
        before = ",";
    }
    if (*before == ',')
        printf(": 95 %% over held-out data\n");
}

static void print_result(const cli_options *o, const ts_run *run, const ts_trainer_result *r)
{
    char plan[32], no_reuse[32];
    const int target = run->config->train.steps;
    if (o->json) {
        json_t *json =
            json_pack("{s:I, s:o, s:o, s:I, s:o, s:f, s:I, s:I, s:I, s:s, s:s}", "step", (json_int_t)r->step,
                      "loss", cli_json_real(r->loss), "gradient_norm", cli_json_real(r->gradient_norm),
                      "skipped", (json_int_t)r->skipped, "images_per_second",
                      cli_json_real(r->images_per_second), "seconds", r->seconds, "parameters",
                      (json_int_t)r->parameters, "plan_bytes", (json_int_t)r->plan_bytes, "no_reuse_bytes",
                      (json_int_t)r->no_reuse_bytes, "run", o->out, "device", run->device->description);
        json_object_set_new(json, "T", json_real(r->T));
        add_stars(json, r);
        cli_print_json(json);
        return;
    }
    if (r->step > target) {
        printf(
            "trained for %lld steps already, more than train.steps = %d\ncheckpoint: %s/" TS_CHECKPOINT_FILE
            "\n",
            (long long)r->step, target, o->out);
        return;
    }
    if (isnan(r->loss)) {
        printf("%lld steps: trained already\ncheckpoint: %s/" TS_CHECKPOINT_FILE "\n", (long long)r->step,
               o->out);
        return;
    }
    ts_bytes_text((double)r->plan_bytes, plan);
    ts_bytes_text((double)r->no_reuse_bytes, no_reuse);
    printf("%lld steps, loss %.5f, %.4g images/s, %lld parameters, plan %s (%s without reuse)\n",
           (long long)r->step, r->loss, r->images_per_second, (long long)r->parameters, plan, no_reuse);
    print_stars(r);
    if (!(run->config->train.T > 0))
        printf("train.T auto: t up to %.4g\n", r->T);
    printf("checkpoint: %s/" TS_CHECKPOINT_FILE "\n", o->out);
}

/* Whether --set says something of train.steps. */
static bool sets_steps(const cli_options *o)
{
    for (int i = 0; i < o->override_count; i++)
        if (!strncmp(o->overrides[i], "train.steps=", 12) ||
            (!strncmp(o->overrides[i], "train=", 6) && strstr(o->overrides[i], "steps")))
            return true;
    return false;
}

/* A run goes on to its own target: what CONFIG says may be another's, and would end or prolong it unasked. */
static ts_status keep_target(const cli_options *o, ts_config *config)
{
    char *path;
    ts_config *own;
    if (!o->resume || sets_steps(o) || !ts_run_exists(o->out))
        return NULL;
    if (asprintf(&path, "%s/config.yaml", o->out) < 0)
        return ts_error(TS_NO_MEMORY, "train: no memory for a path");
    ts_status status = ts_config_load(path, NULL, 0, &own);
    free(path);
    TS_TRY(status);
    config->train.steps = own->train.steps;
    ts_config_free(own);
    return NULL;
}

/* The library refuses this too; it knows no --resume. */
static ts_status check_fresh(const cli_options *o)
{
    char *path;
    if (o->resume)
        return NULL;
    if (asprintf(&path, "%s/" TS_CHECKPOINT_FILE, o->out) < 0)
        return ts_error(TS_NO_MEMORY, "train: no memory for a path");
    const bool there = !access(path, F_OK);
    free(path);
    return there ? ts_error(TS_INVALID,
                            "%s: holds a run already; continue it with --resume, or use another directory",
                            o->out)
                 : NULL;
}

static ts_status train(const cli_options *o, ts_progress *progress)
{
    ts_config *config;
    ts_run *run;
    ts_trainer_result result = {0};
    if (!o->out)
        return ts_error(TS_INVALID, "train: --out RUN is missing: the directory for checkpoints and log");
    TS_TRY(ts_config_load(o->arguments[0], o->overrides, o->override_count, &config));
    ts_status wrong = check_fresh(o);
    if (!wrong)
        wrong = keep_target(o, config);
    if (wrong) {
        ts_config_free(config);
        return wrong;
    }
    ts_run_options options = cli_run_options(o);
    options.progress = progress;
    options.work = TS_WORK_TRAIN;
    TS_TRY(ts_run_create(o->out, config, o->resume, &options, &run));
    cli_watch(progress, run);
    ts_status status =
        ts_trainer_run(run, &(ts_trainer_options){.resume = o->resume, .progress = progress}, &result);
    if (!status)
        print_result(o, run, &result);
    ts_run_close(run);
    return cli_hint(status, TS_INTERRUPTED, "--resume continues from here");
}

int cli_train(int argc, char **argv)
{
    return cli_command(&cli_train_usage, argc, argv, train);
}
