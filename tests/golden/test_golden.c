/*
 * test_golden FILE...: numbers of independent programs that the engine must reproduce.
 *
 * To add a case, put a file of one of the kinds below into tests/golden/ (CMake makes its tests of it) and a
 * line into README.md there.  A new kind is a function that asks for every tensor of its files, by
 * golden_read or golden_check (golden.h), and a line in test_file that knows it by its metadata.
 *
 * The kinds: features of images (golden_inception), samplers on mixtures (golden_samplers), a state dict and what its network gives
 * (golden_checkpoint), a score network (golden_unet), a Glow (golden_glow).  Of the last two either stores its weights as "model.NAME"
 * and its gradients whole, or names in its metadata `weights` the rule that makes the weights, and stores
 * sketches of the gradients (rule.h).
 *
 * Tolerances in float32: outputs and losses 1e-4 and ODE end points 1e-3, relative (norm of the difference
 * over norm of the reference); gradients 1e-3 relative, tensor by tensor; bits per dimension 1e-3, absolute.
 * Networks whose weights a rule makes have rough ODEs: end points 3e-3, and bits per dimension 5e-3 at
 * rtol = atol = 1e-5.  The number of evaluations at that tolerance is SciPy's to a tenth.
 *
 * Some gradients are zero but for rounding (of a key's bias in attention, which the softmax cancels), in the
 * reference as well: there a relative error means nothing.  A gradient's error is therefore taken relative
 * to the larger of its own norm and 1e-5 times the norm of the whole gradient, all parameters together. The
 * floor is so low that only such tensors come under it; their error must stay below 1e-8 of the whole, which
 * is less than one rounding of float32.  Beside sketches the metadata grad.zero names them: their norm must
 * stay below 1e-6 of the whole.
 *
 * With bfloat16 activations every intermediate result is rounded: by up to u = 2^-8 of itself, by 0.4 u in
 * the root mean square.  The 50 or so roundings between an input and an output add up to 50^(1/2) 0.4 u =
 * 1.1e-2, so outputs and losses have 2e-2.
 *
 * How far roundings move a gradient depends on how much cancels in it, which differs from tensor to tensor,
 * so that is measured: in float32 on the CPU, by moving all weights and inputs at random as one rounding
 * would. In bfloat16 a layer rounds five times, its weights, two results forward, two backward, which comes
 * to 5^(1/2) times that. A tensor has 3 times what moved weights do to it (root mean square of 64 draws),
 * or 5^(1/2) times the most that one draw did (where few directions hold the error, one draw differs much
 * from the next), but not less than 5e-2. Fourier frequencies and other constants stay in float32 and are
 * not moved. A gradient that is zero but for rounding stays zero when weights move: it has its share of one
 * rounding of the whole gradient, which of n tensors is 0.4 u / n^(1/2). Of a sketch, whose four products
 * show the gradient's error times a standard normal each, the root mean square is compared, and may be
 * larger as chance makes that of four normals.
 *
 * The same holds for what a network gives at small sigma(t), where one rounding of the input is much of the
 * noise in it: outputs of checkpoints are judged so too.
 *
 * The adaptive integrator would follow the rounding, not the ODE: its tensors are not compared.
 *
 * The environment chooses the device: see chosen_device.c.  With TSTAR_TEST_COARSE=1, ODEs of networks whose
 * weights a rule makes are solved at rtol = atol = 1e-5 alone: a fifth of the evaluations, for slow devices.
 *
 * Exit status: 0 passed, 1 failed, 2 wrong usage, 77 the engine does not have what this file is about.
 */
#include <fnmatch.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"

/* The root mean square of four standard normals exceeds it once in a hundred draws. */
#define FOUR 1.82

enum { PASSED = 0, FAILED = 1, USAGE = 2, SKIPPED = 77, DRAWS = 64 };

static const struct {
    const char *what;
    double tolerance, fast; /* float32, bfloat16 */
} kinds[] = {[GOLDEN_FORWARD] = {"relative", 1e-4, 2e-2},  [GOLDEN_OUTPUT] = {"relative", 1e-4, 2e-2},
             [GOLDEN_FEATURES] = {"relative", 1e-4, 5e-2}, [GOLDEN_CLOSED] = {"relative", 1e-6, 1e-6},
             [GOLDEN_GRADIENT] = {"relative", 1e-3, 5e-2}, [GOLDEN_ODE] = {"relative", 1e-3, 0},
             [GOLDEN_ROUGH_ODE] = {"relative", 3e-3, 0}};

void golden_must(ts_status status)
{
    if (!status)
        return;
    printf("FAILED  %s\n", ts_status_message(status));
    exit(FAILED);
}

void *golden_allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        golden_must(ts_error(TS_NO_MEMORY, "no memory for %zu values", count));
    return memory;
}

static void fatal(const golden *g, const char *what, const char *name)
{
    golden_must(ts_error(TS_FORMAT, "%s: %s: %s", ts_safetensors_path(g->file), name, what));
}

/* ---- metadata ---- */

const char *golden_string(const golden *g, const char *key)
{
    return ts_safetensors_metadata(g->file, key);
}

double golden_number(const golden *g, const char *key)
{
    const char *text = golden_string(g, key);
    char *end = NULL;
    const double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !isfinite(value))
        fatal(g, "the metadata should have a number here", key);
    return value;
}

int golden_integers(const golden *g, const char *key, int limit, int *values)
{
    const char *text = golden_string(g, key);
    int count = 0;
    if (!text || (*text != '[' && *text != '('))
        fatal(g, "the metadata should have a list of integers here", key);
    for (text++; *text != ']' && *text != ')';) {
        char *end;
        const long value = strtol(text, &end, 10);
        if (end == text || count == limit || value < 0 || value > 1 << 20)
            fatal(g, "the metadata should have a short list of integers here", key);
        values[count++] = (int)value;
        text = end + strspn(end, ", ");
    }
    return count;
}

/* ---- tensors ---- */

bool golden_has(const golden *g, const char *name)
{
    return ts_safetensors_find(g->file, name) >= 0;
}

int64_t golden_read(golden *g, const char *name, double **values, int64_t *shape)
{
    const ts_safetensors_info *info;
    golden_must(ts_safetensors_read_doubles(g->file, name, values, &info));
    for (int i = 0; shape && i < info->rank; i++)
        shape[i] = info->shape[i];
    return info->count;
}

void golden_leave(golden *g, const char *pattern, const char *why)
{
    for (int i = 0; i < ts_safetensors_count(g->file); i++) {
        const char *name = ts_safetensors_at(g->file, i)->name;
        double *values;
        if (fnmatch(pattern, name, 0))
            continue;
        golden_read(g, name, &values, NULL);
        free(values);
        if (!g->draw)
            printf("left    %s: not compared %s\n", name, why);
    }
}

static double norm_of(const double *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return sqrt(sum);
}

static void report(golden *g, const char *name, const char *what, double error, double tolerance,
                   const char *note)
{
    const bool passed = error <= tolerance; /* not a NaN */
    printf("%s  %-52s %s error %.2e, tolerance %.1e%s\n", passed ? "ok    " : "FAILED", name, what, error,
           tolerance, note);
    g->checked++;
    g->failed += !passed;
}

/* The square of what one draw of moved weights does to a tensor. */
static void note_draw(golden *g, const char *name, double square)
{
    golden_moved *draws = &g->moved[ts_safetensors_find(g->file, name)];
    draws->mean += square / DRAWS;
    draws->largest = fmax(draws->largest, square);
}

/* Relative, of a tensor of this norm in bfloat16. */
static double reduced_tolerance(const golden *g, const char *name, golden_kind kind, double scale,
                                const char **note)
{
    double tolerance = kinds[kind].fast;
    if (kind != GOLDEN_GRADIENT && kind != GOLDEN_OUTPUT)
        return tolerance;
    const golden_moved *draws = &g->moved[ts_safetensors_find(g->file, name)];
    const double moved = fmax(3 * sqrt(draws->mean), sqrt(5 * draws->largest)) / scale;
    const double share =
        kind == GOLDEN_GRADIENT ? GOLDEN_ROUNDING * g->gradient_scale / sqrt(g->gradient_tensors) / scale : 0;
    if (moved > tolerance) {
        tolerance = moved;
        *note = " (by what moved weights do)";
    }
    if (share > tolerance) {
        tolerance = share;
        *note = " (by its share of the whole gradient)";
    }
    return tolerance;
}

/* The reference, of as many numbers; free it. */
static double *reference_of(golden *g, const char *name, int64_t count)
{
    double *reference;
    if (golden_read(g, name, &reference, NULL) != count)
        fatal(g, "it has another number of elements than the engine's", name);
    return reference;
}

void golden_check(golden *g, const char *name, const double *values, int64_t count, golden_kind kind)
{
    double *reference = reference_of(g, name, count), difference = 0;
    for (int64_t i = 0; i < count; i++)
        difference += (values[i] - reference[i]) * (values[i] - reference[i]);
    double scale = norm_of(reference, count), tolerance = kinds[kind].tolerance;
    const char *note = "";
    free(reference);
    if (g->draw) {
        note_draw(g, name, difference);
        return;
    }
    if (kind == GOLDEN_GRADIENT && scale < 1e-5 * g->gradient_scale) {
        scale = 1e-5 * g->gradient_scale;
        note = " (of the least that counts beside the whole gradient)";
    }
    if (g->moved)
        tolerance = reduced_tolerance(g, name, kind, scale, &note);
    else if (kind == GOLDEN_FEATURES && g->device->activation != TS_F32)
        tolerance = kinds[kind].fast;
    report(g, name, "relative", difference == 0 ? 0 : sqrt(difference) / scale, tolerance, note);
}

void golden_check_absolute(golden *g, const char *name, const double *values, int64_t count, double tolerance)
{
    double *reference = reference_of(g, name, count), largest = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs(values[i] - reference[i]);
        largest = d > largest || isnan(d) ? d : largest;
    }
    free(reference);
    report(g, name, "absolute", largest, tolerance, "");
}

void golden_check_evaluations(golden *g, const char *key, int nfe)
{
    const double reference = golden_number(g, key);
    report(g, key, "relative", fabs(nfe - reference) / reference, 0.1, "");
}

void golden_check_number(golden *g, const char *key, double value, double tolerance)
{
    report(g, key, "absolute", fabs(value - golden_number(g, key)), tolerance, "");
}

/* An error e of the gradient moves each of the four products by about |e|/sqrt(count) times a standard
 * normal, and the norm by |e| at most. */
void golden_check_sketch(golden *g, const char *name, const double sketch[5], int64_t count, bool zero)
{
    double *reference = reference_of(g, name, 5), squares = 0, largest = 0;
    const double scale = reference[4], norm = fabs(sketch[4] - scale);
    const char *note = "";
    for (int k = 0; k < 4; k++) {
        const double d = fabs(sketch[k] - reference[k]) * sqrt((double)count);
        squares += d * d / 4;
        largest = d > largest || isnan(d) ? d : largest;
        if (zero && (reference[k] != 0 || scale != 0))
            fatal(g, "metadata grad.zero says that it is zero", name);
    }
    free(reference);
    if (g->draw) {
        note_draw(g, name, squares);
    } else if (zero) {
        const double share = g->moved ? GOLDEN_ROUNDING / sqrt(g->gradient_tensors) : 1e-6;
        report(g, name, "relative", sketch[4] / g->gradient_scale, share, " (of the whole gradient)");
    } else if (g->moved) {
        const double tolerance = reduced_tolerance(g, name, GOLDEN_GRADIENT, scale, &note);
        report(g, name, "relative", fmax(sqrt(squares) / FOUR, norm) / scale, tolerance, note);
    } else {
        report(g, name, "relative", isnan(largest) ? largest : fmax(largest, norm) / scale,
               kinds[GOLDEN_GRADIENT].tolerance, "");
    }
}

/* ---- activations ---- */

static void convert(golden *g, const void *from, void *to, int64_t count, bool to_float)
{
    const ts_convert a = {.count = count, .to_float = to_float, .x = from, .y = to};
    golden_must(g->device->k->convert(g->device, &a));
}

void golden_upload(golden *g, void *activations, const float *host, int64_t count)
{
    const size_t bytes = (size_t)count * sizeof *host;
    void *floats;
    golden_must(g->device->k->allocate(g->device, bytes, &floats));
    golden_must(g->device->k->upload(g->device, floats, host, bytes));
    convert(g, floats, activations, count, false);
    g->device->k->release(g->device, floats);
}

void golden_download(golden *g, float *host, const void *activations, int64_t count)
{
    const size_t bytes = (size_t)count * sizeof *host;
    void *floats;
    golden_must(g->device->k->allocate(g->device, bytes, &floats));
    convert(g, activations, floats, count, true);
    golden_must(g->device->k->download(g->device, host, floats, bytes));
    golden_must(g->device->k->synchronize(g->device));
    g->device->k->release(g->device, floats);
}

void golden_to_nhwc(const double *nchw, int n, int c, int h, int w, float *nhwc)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < (int64_t)h * w; p++)
                nhwc[(i * h * w + p) * c + k] = (float)nchw[(i * c + k) * h * w + p];
}

void golden_to_nchw(const float *nhwc, int n, int c, int h, int w, double *nchw)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < (int64_t)h * w; p++)
                nchw[(i * c + k) * h * w + p] = nhwc[(i * h * w + p) * c + k];
}

/* ---- which engine part a file is about ---- */

static bool metadata_is(const golden *g, const char *key, const char *value)
{
    const char *is = golden_string(g, key);
    return is && strcmp(is, value) == 0;
}

/* Why the engine lacks this variant of the network; NULL: it has it. */
static const char *unsupported_network(const golden *g)
{
    static const struct {
        const char *key, *value;
    } needed[] = {{"conditional", "true"}, {"nonlinearity", "swish"}, {"normalization", "GroupNorm"}};
    if (!metadata_is(g, "sde", "vp") && !metadata_is(g, "sde", "subvp") && !metadata_is(g, "sde", "ve"))
        return "its SDE is none of VP, sub-VP and VE";
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (golden_string(g, needed[i].key) && !metadata_is(g, needed[i].key, needed[i].value))
            return "its network is neither DDPM++ nor NCSN++ as the engine has them";
    if (metadata_is(g, "progressive", "residual"))
        return "its output pyramid is residual, which the engine does not have";
    return NULL;
}

static int unread(golden *g)
{
    int count = 0;
    for (int i = 0; i < ts_safetensors_count(g->file); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(g->file, i);
        if (!info->read) {
            printf("FAILED  %s: nothing read this tensor\n", info->name);
            count++;
        }
    }
    return count;
}

/* Fills g->moved: squares of the differences that moved weights make in float32. */
static void move_weights(golden *g, void (*checks)(golden *))
{
    g->moved = golden_allocate((size_t)ts_safetensors_count(g->file), sizeof *g->moved);
    golden exact = *g;
    golden_must(ts_cpu_kernels.open(&(ts_device_options){.threads = 1}, &exact.device));
    for (exact.draw = 1; exact.draw <= DRAWS; exact.draw++)
        checks(&exact);
    ts_device_close(exact.device);
}

/* A state dict is tested by the file that says what its network gives: NAME.golden.safetensors beside
 * NAME_state_dict.safetensors. */
static void resolve(const char *path, char resolved[PATH_MAX])
{
    static const char end[] = "_state_dict.safetensors";
    const size_t length = strlen(path), cut = sizeof end - 1;
    const bool state_dict = length > cut && !strcmp(path + length - cut, end);
    snprintf(resolved, PATH_MAX, "%.*s%s", (int)(state_dict ? length - cut : length), path,
             state_dict ? ".golden.safetensors" : "");
}

static int test_file(const char *argument)
{
    char path[PATH_MAX];
    golden g = {0};
    const ts_device_options options = {.threads = 1}; /* more would wait for each other, so small are these */
    void (*checks)(golden *) = NULL;
    resolve(argument, path);
    printf("%s\n", path);
    golden_must(ts_safetensors_open(path, &g.file));
    const char *reason =
        "its metadata is not a score network's (name), a Glow's (K, L) or samplers' (pc.N), or of features (precision_recall_margin), and it has no "
        "expected_log_density or sorted_weights";
    if (metadata_is(&g, "name", "ncsnpp")) {
        reason = unsupported_network(&g);
        checks = reason ? NULL : golden_has(&g, "import.x") ? golden_checkpoint : golden_unet;
    } else if (golden_string(&g, "K") && golden_string(&g, "L")) {
        checks = golden_glow;
    } else if (golden_has(&g, "expected_log_density")) {
        checks = golden_gaussian;
    } else if (golden_has(&g, "sorted_weights")) {
        checks = golden_dpmixture;
    } else if (golden_string(&g, "precision_recall_margin")) {
        checks = golden_inception;
    } else if (golden_string(&g, "pc.N")) {
        checks = golden_samplers;
    }
    if (!checks) {
        printf("skipped: %s: %s\n", path, reason);
        ts_safetensors_close(g.file);
        return SKIPPED;
    }
    const bool draws =
        checks != golden_samplers && checks != golden_inception; /* whose weights are not moved */
    if (checks != golden_inception)
        golden_read_rule(&g);
    golden_must(ts_device_open("cpu", &options, &g.device));
    if (g.device->activation != TS_F32 && draws)
        move_weights(&g, checks);
    checks(&g);
    g.failed += unread(&g);
    printf("%s: %d tensors checked, %d failures\n", path, g.checked, g.failed);
    ts_device_close(g.device);
    ts_safetensors_close(g.file);
    free(g.moved);
    free(g.rule);
    return g.failed || !g.checked ? FAILED : PASSED;
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: %s FILE...\n", arguments[0]);
        return USAGE;
    }
    bool failed = false, skipped = false;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++) {
        const int result = test_file(arguments[i]);
        failed = failed || result == FAILED;
        skipped = skipped || result == SKIPPED;
    }
    return failed ? FAILED : skipped ? SKIPPED : PASSED;
}
