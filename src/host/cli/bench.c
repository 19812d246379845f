/*
 * tstar bench train|sample|ops CONFIG
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "cli/cli.h"
#include "bench/bench.h"
#include "run/algorithms.h"

const cli_usage cli_bench_usage = {
    .name = "bench",
    .arguments = "train|sample|ops CONFIG ",
    .about =
        "Measures speed and memory on the shapes of CONFIG: whole training steps, network evaluations of the sampler, or\n"
        "every operation of a training step by itself.  Rates stand beside that of a large matrix product on the same\n"
        "device, taken before and after.  Where the data files are missing, random bytes of their shape stand in.",
    .least = 2,
    .most = 2,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_STEPS | CLI_ALGORITHMS | CLI_RECORDING_OFF};

/* ---- what all three print ---- */

/* Of the matrix work, against the measured product. */
static double flop_utilisation(const ts_bench_figures *f)
{
    return f->ceiling > 0 ? f->flops / f->ceiling : 0;
}

static json_t *common_json(const cli_options *o, const ts_bench *bench, const ts_bench_figures *f)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:s}", "program", "tstar " TSTAR_VERSION, "config",
                             o->arguments[1], "device", bench->device->k->name, "threads",
                             bench->device->threads, "data", bench->synthetic ? "synthetic" : "files");
    json_object_set_new(json, "images_per_second", cli_json_real(f->images_per_second));
    json_object_set_new(json, "gflops", cli_json_real(1e-9 * f->flops));
    json_object_set_new(json, "product_gflops", cli_json_real(1e-9 * f->ceiling));
    json_object_set_new(json, "model_flop_utilisation", cli_json_real(flop_utilisation(f)));
    json_object_set_new(json, "card", json_string(bench->device->description));
    json_object_set_new(json, "activations",
                        json_string(bench->device->activation == TS_BF16 ? "bfloat16" : "float32"));
    json_object_set_new(json, "copy_gbytes_per_second", cli_json_real(1e-9 * f->copy_ceiling));
    json_object_set_new(json, "recording_error", json_string(bench->device->recording_error));
    json_object_set_new(json, "peak_bytes", json_integer((json_int_t)f->process_peak_bytes));
    json_object_set_new(json, "device_peak_bytes", json_integer((json_int_t)f->device_peak_bytes));
    return json;
}

static void print_common(const ts_bench *bench, const ts_bench_figures *f)
{
    printf("%s, data %s\n", bench->device->description, bench->synthetic ? "synthetic" : "from files");
    printf("%.4g images/s, model FLOP utilisation %.1f %%: %.1f of a large product's %.1f GFLOP/s\n",
           f->images_per_second, 100 * flop_utilisation(f), 1e-9 * f->flops, 1e-9 * f->ceiling);
    printf("a large copy: %.1f GB/s read and written\n", 1e-9 * f->copy_ceiling);
    if (*bench->device->recording_error)
        printf("steps are not recorded: %s\n", bench->device->recording_error);
    char process[32], device[32];
    ts_bytes_text((double)f->process_peak_bytes, process);
    ts_bytes_text((double)f->device_peak_bytes, device);
    printf("peak %s of the process, %s allocated on the device\n", process, device);
}

/* ---- train ---- */

static ts_status bench_train(const cli_options *o, const ts_bench *bench, ts_progress *progress)
{
    ts_bench_train r;
    TS_TRY(ts_bench_train_run(bench, o->steps, progress, &r));
    if (o->json) {
        json_t *json = common_json(o, bench, &r.figures);
        json_object_set_new(json, "parameters", json_integer(r.parameters));
        json_object_set_new(json, "batch", json_integer(r.batch));
        json_object_set_new(json, "steps_measured", json_integer(r.steps));
        json_object_set_new(json, "seconds_per_step", cli_json_real(r.step_seconds));
        json_object_set_new(json, "seconds_per_step_min", cli_json_real(r.least));
        json_object_set_new(json, "seconds_per_step_max", cli_json_real(r.most));
        json_object_set_new(json, "seconds_per_step_unwaited", cli_json_real(r.stream_seconds));
        json_object_set_new(json, "seconds_first_step", cli_json_real(r.first_seconds));
        json_object_set_new(json, "host_seconds_per_step", cli_json_real(r.figures.host_seconds));
        json_object_set_new(json, "launches_per_step", json_integer(r.launches));
        json_object_set_new(json, "flops_per_step", cli_json_real(r.step_flops));
        json_object_set_new(json, "plan_bytes", json_integer((json_int_t)r.plan_bytes));
        json_object_set_new(json, "no_reuse_bytes", json_integer((json_int_t)r.no_reuse_bytes));
        json_object_set_new(json, "allocations_after_first_step",
                            json_integer((json_int_t)r.figures.late_allocations));
        cli_print_json(json);
        return NULL;
    }
    print_common(bench, &r.figures);
    printf("%lld parameters, batch %d, %.3f GFLOP a step\n", (long long)r.parameters, r.batch,
           1e-9 * r.step_flops);
    printf("step %.4g s (median of %d; %.4g to %.4g), the first %.4g s\n", r.step_seconds, r.steps, r.least,
           r.most, r.first_seconds);
    printf("a step is queued by the host in %.3g s", r.figures.host_seconds);
    if (r.launches)
        printf(", %lld launches; not waited for one by one, steps take %.4g s", (long long)r.launches,
               r.stream_seconds);
    char plan[32], no_reuse[32];
    ts_bytes_text((double)r.plan_bytes, plan);
    ts_bytes_text((double)r.no_reuse_bytes, no_reuse);
    printf("\nplan %s, without reuse %s; %llu allocations after the first step\n", plan, no_reuse,
           (unsigned long long)r.figures.late_allocations);
    return NULL;
}

/* ---- sample ---- */

static ts_status bench_sample(const cli_options *o, const ts_bench *bench, ts_progress *progress)
{
    ts_bench_sample r;
    TS_TRY(ts_bench_sample_run(bench, o->steps, progress, &r));
    if (o->json) {
        json_t *json = common_json(o, bench, &r.figures);
        json_object_set_new(json, "sampler",
                            json_string(ts_sampler_kind_words.word[bench->config->sample.sampler]));
        json_object_set_new(json, "batch", json_integer(r.batch));
        json_object_set_new(json, "nfe", cli_json_real(r.nfe));
        json_object_set_new(json, "evaluations_measured", json_integer(r.evaluations));
        json_object_set_new(json, "evaluations_per_second", cli_json_real(r.evaluations_per_second));
        json_object_set_new(json, "flops_per_evaluation", cli_json_real(r.evaluation_flops));
        json_object_set_new(json, "launches_per_step", json_integer(r.launches));
        json_object_set_new(json, "host_seconds_per_evaluation", cli_json_real(r.figures.host_seconds));
        json_object_set_new(json, "allocations_after_first_evaluation",
                            json_integer((json_int_t)r.figures.late_allocations));
        cli_print_json(json);
        return NULL;
    }
    print_common(bench, &r.figures);
    printf("%.4g evaluations of one image a second (batch %d), %g of them a sample by %s\n",
           r.evaluations_per_second, r.batch, r.nfe,
           ts_sampler_kind_words.word[bench->config->sample.sampler]);
    printf("an evaluation of the batch is queued by the host in %.3g s", r.figures.host_seconds);
    if (r.launches)
        printf(", a step has %lld launches", (long long)r.launches);
    printf("\n");
    return NULL;
}

/* ---- ops ---- */

/* Of whichever ceiling is nearer: that of the product for its FLOP, or that of the copy for its bytes. */
static double share_of_ceiling(const ts_bench_operation *p, const ts_bench_figures *f)
{
    const double flops = f->ceiling > 0 ? p->flops / f->ceiling : 0;
    const double bytes = f->copy_ceiling > 0 ? p->bytes / f->copy_ceiling : 0;
    return p->seconds > 0 ? fmax(flops, bytes) / p->seconds : 0;
}

static json_t *operation_json(const ts_bench_operation *p, const ts_bench_ops *r)
{
    return json_pack("{s:s, s:[i,i,i,i], s:i, s:o, s:o, s:f, s:f, s:o, s:o, s:o}", "operation", p->name,
                     "shape", p->shape[0], p->shape[1], p->shape[2], p->shape[3], "calls", p->calls,
                     "seconds", cli_json_real(p->seconds), "share", cli_json_real(p->seconds / r->seconds),
                     "flops", p->flops, "bytes", p->bytes, "gflops",
                     cli_json_real(1e-9 * p->flops / p->seconds), "gbytes_per_second",
                     cli_json_real(1e-9 * p->bytes / p->seconds), "share_of_ceiling",
                     cli_json_real(share_of_ceiling(p, &r->figures)));
}

static void print_operation(const ts_bench_operation *p, const ts_bench_ops *r)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%dx%dx%dx%d", p->shape[0], p->shape[1], p->shape[2], p->shape[3]);
    printf("%-26s %-18s %6d %10.4f %6.1f %11.3f %11.2f %10.1f %9.1f %9.1f\n", p->name, shape, p->calls,
           1e3 * p->seconds, 100 * p->seconds / r->seconds, 1e-9 * p->flops, (double)p->bytes / 0x1p20,
           1e-9 * p->flops / p->seconds, 1e-9 * p->bytes / p->seconds,
           100 * share_of_ceiling(p, &r->figures));
}

static ts_status bench_ops(const cli_options *o, const ts_bench *bench, ts_progress *progress)
{
    ts_bench_ops r;
    TS_TRY(ts_bench_ops_run(bench, o->steps, progress, &r));
    if (o->json) {
        json_t *json = common_json(o, bench, &r.figures), *list = json_array();
        json_object_set_new(json, "batch", json_integer(bench->config->train.batch));
        json_object_set_new(json, "seconds_per_step", cli_json_real(r.seconds));
        for (int i = 0; i < r.count; i++)
            json_array_append_new(list, operation_json(&r.operations[i], &r));
        json_object_set_new(json, "operations", list);
        cli_print_json(json);
    } else {
        print_common(bench, &r.figures);
        printf("%-26s %-18s %6s %10s %6s %11s %11s %10s %9s %9s\n", "operation", "input", "calls", "ms", "%",
               "GFLOP", "MiB", "GFLOP/s", "GB/s", "ceiling %");
        for (int i = 0; i < r.count; i++)
            print_operation(&r.operations[i], &r);
    }
    free(r.operations);
    return NULL;
}

/* ---- the command ---- */

/* What the file holds is taken; one that cannot be written, or is something else, shows before the work. */
static ts_status begin_algorithms(ts_device *device, const char *path)
{
    static const char beginning[] = "tstar choices";
    char *text = NULL;
    size_t bytes = 0;
    ts_status status = ts_file_read(path, (size_t)1 << 30, &text, &bytes);
    const bool other = !status && bytes > 0 && strncmp(text, beginning, strlen(beginning)) != 0;
    free(text);
    if (other)
        return ts_error(TS_INVALID, "--algorithms %s: this file holds something else", path);
    if (ts_status_code(status) != TS_NOT_FOUND && status)
        return status;
    ts_status_free(status);
    return ts_algorithms_write(device, path);
}

static ts_status bench(const cli_options *o, ts_progress *progress)
{
    static const struct {
        const char *name;
        ts_status (*run)(const cli_options *, const ts_bench *, ts_progress *);
    } kinds[] = {{"train", bench_train}, {"sample", bench_sample}, {"ops", bench_ops}};
    const size_t count = sizeof kinds / sizeof *kinds;
    size_t kind = 0;
    while (kind < count && strcmp(kinds[kind].name, o->arguments[0]))
        kind++;
    if (kind == count) {
        const char *names[sizeof kinds / sizeof *kinds];
        for (size_t i = 0; i < count; i++)
            names[i] = kinds[i].name;
        const char *near = ts_closest_word(&(ts_words){(int)count, names}, o->arguments[0]);
        return ts_error(TS_INVALID, "bench: there is no benchmark '%s'; there are train, sample, ops%s%s%s",
                        o->arguments[0], near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    ts_config *config = NULL;
    ts_device *device = NULL;
    ts_bench b = {0};
    ts_status status;
    const ts_run_options options = cli_run_options(o);
    TS_TRY(ts_config_load(o->arguments[1], o->overrides, o->override_count, &config));
    TS_GOTO(ts_device_open(options.device, &options.device_options, &device), end);
    device->recording_off = o->recording_off;
    if (*device->fallback_reason)
        cli_on_fallback(device->fallback_reason);
    if (o->algorithms)
        TS_GOTO(begin_algorithms(device, o->algorithms), end);
    TS_GOTO(ts_bench_open(config, device, &b), end);
    ts_algorithms_announce(device, progress);
    TS_GOTO(kinds[kind].run(o, &b, progress), end);
    if (o->algorithms)
        status = ts_algorithms_write(device, o->algorithms);
end:
    ts_bench_close(&b);
    ts_device_close(device);
    ts_config_free(config);
    return status;
}

int cli_bench(int argc, char **argv)
{
    return cli_command(&cli_bench_usage, argc, argv, bench);
}
