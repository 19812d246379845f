/*
 * tstar bench train|sample|ops CONFIG
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "run/bench.h"

static const cli_usage usage = {
    .name = "bench",
    .arguments = "train|sample|ops CONFIG ",
    .about =
        "Measures speed and memory on the shapes of CONFIG: whole training steps, network evaluations of "
        "the sampler, or\n"
        "every operation of a training step by itself.  Rates stand beside that of a large matrix "
        "product on the same\n"
        "device, taken before and after.  Where the data files are missing, random bytes of their shape "
        "stand in.",
    .least = 2,
    .most = 2,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_STEPS};

/* ---- what all three print ---- */

static double share_of_ceiling(const ts_bench_figures *f)
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
    json_object_set_new(json, "sgemm_gflops", cli_json_real(1e-9 * f->ceiling));
    json_object_set_new(json, "share_of_sgemm", cli_json_real(share_of_ceiling(f)));
    json_object_set_new(json, "card", json_string(bench->device->description));
    json_object_set_new(json, "activations",
                        json_string(bench->device->activation == TS_BF16 ? "bfloat16" : "float32"));
    json_object_set_new(json, "copy_gbytes_per_second", cli_json_real(1e-9 * f->copy_ceiling));
    json_object_set_new(json, "peak_bytes", json_integer((json_int_t)f->process_peak_bytes));
    json_object_set_new(json, "device_peak_bytes", json_integer((json_int_t)f->device_peak_bytes));
    return json;
}

static void print_common(const ts_bench *bench, const ts_bench_figures *f)
{
    printf("%s, data %s\n", bench->device->description, bench->synthetic ? "synthetic" : "from files");
    printf("%.4g images/s, %.1f GFLOP/s, %.0f %% of a matrix product's %.1f GFLOP/s\n", f->images_per_second,
           1e-9 * f->flops, 100 * share_of_ceiling(f), 1e-9 * f->ceiling);
    printf("a large copy: %.1f GB/s read and written\n", 1e-9 * f->copy_ceiling);
    printf("peak %.1f MiB of the process, %.1f MiB allocated on the device\n",
           (double)f->process_peak_bytes / 0x1p20, (double)f->device_peak_bytes / 0x1p20);
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
    printf("queued by the host in %.3g s", r.figures.host_seconds);
    if (r.launches)
        printf(", %lld launches", (long long)r.launches);
    printf("\nplan %.1f MiB, without reuse %.1f MiB; %llu allocations after the first step\n",
           (double)r.plan_bytes / 0x1p20, (double)r.no_reuse_bytes / 0x1p20,
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
        json_object_set_new(json, "sampler", json_string(bench->config->sample.sampler));
        json_object_set_new(json, "batch", json_integer(r.batch));
        json_object_set_new(json, "nfe", cli_json_real(r.nfe));
        json_object_set_new(json, "evaluations_measured", json_integer(r.evaluations));
        json_object_set_new(json, "evaluations_per_second", cli_json_real(r.evaluations_per_second));
        json_object_set_new(json, "flops_per_evaluation", cli_json_real(r.evaluation_flops));
        json_object_set_new(json, "host_seconds_per_evaluation", cli_json_real(r.figures.host_seconds));
        json_object_set_new(json, "allocations_after_first_evaluation",
                            json_integer((json_int_t)r.figures.late_allocations));
        cli_print_json(json);
        return NULL;
    }
    print_common(bench, &r.figures);
    printf("%.4g evaluations of one image a second (batch %d), %g of them a sample by %s\n",
           r.evaluations_per_second, r.batch, r.nfe, bench->config->sample.sampler);
    return NULL;
}

/* ---- ops ---- */

static json_t *operation_json(const ts_bench_operation *p, double total)
{
    return json_pack("{s:s, s:[i,i,i,i], s:i, s:f, s:o, s:f, s:f, s:o, s:o}", "operation", p->name, "shape",
                     p->shape[0], p->shape[1], p->shape[2], p->shape[3], "calls", p->calls, "seconds",
                     p->seconds, "share", cli_json_real(p->seconds / total), "flops", p->flops, "bytes",
                     p->bytes, "gflops", cli_json_real(1e-9 * p->flops / p->seconds), "gbytes_per_second",
                     cli_json_real(1e-9 * p->bytes / p->seconds));
}

static void print_operation(const ts_bench_operation *p, double total)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%dx%dx%dx%d", p->shape[0], p->shape[1], p->shape[2], p->shape[3]);
    printf("%-26s %-18s %6d %10.4f %7.1f %10.3f %10.2f %9.1f %9.1f\n", p->name, shape, p->calls,
           1e3 * p->seconds, 100 * p->seconds / total, 1e-9 * p->flops, (double)p->bytes / 0x1p20,
           1e-9 * p->flops / p->seconds, 1e-9 * p->bytes / p->seconds);
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
            json_array_append_new(list, operation_json(&r.operations[i], r.seconds));
        json_object_set_new(json, "operations", list);
        cli_print_json(json);
    } else {
        print_common(bench, &r.figures);
        printf("%-26s %-18s %6s %10s %7s %10s %10s %9s %9s\n", "operation", "output", "calls", "ms", "%",
               "GFLOP", "MiB", "GFLOP/s", "GB/s");
        for (int i = 0; i < r.count; i++)
            print_operation(&r.operations[i], r.seconds);
    }
    free(r.operations);
    return NULL;
}

/* ---- the command ---- */

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
    if (kind == count)
        return ts_error(TS_INVALID, "bench: there is no benchmark '%s'; there are train, sample, ops",
                        o->arguments[0]);
    ts_config *config = NULL;
    ts_device *device = NULL;
    ts_bench b = {0};
    ts_status status;
    const ts_run_options options = cli_run_options(o);
    TS_TRY(ts_config_load(o->arguments[1], o->overrides, o->override_count, &config));
    TS_GOTO(ts_device_open(options.device, &options.device_options, &device), end);
    if (*device->instead)
        cli_on_cpu(device->instead);
    TS_GOTO(ts_bench_open(config, device, &b), end);
    TS_GOTO(kinds[kind].run(o, &b, progress), end);
end:
    ts_bench_close(&b);
    ts_device_close(device);
    ts_config_free(config);
    return status;
}

int cli_bench(int argc, char **argv)
{
    return cli_command(&usage, argc, argv, bench);
}
