/*
 * Handles of cuBLASLt and cuDNN, timing of calls, and the chosen algorithms as text.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cuda/vendor/libraries.h"

size_t ts_cuda_bucket(const void *key, size_t bytes)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ static_cast<const unsigned char *>(key)[i]) * 0x100000001B3u;
    return (size_t)(hash ^ hash >> 32) % TS_CUDA_BUCKETS;
}

/* ---- handles ---- */

ts_status ts_cuda_libraries_of(ts_device *device, ts_cuda_libraries **libraries)
{
    ts_cuda_device *const d = ts_cuda(device);
    *libraries = d->libraries;
    if (d->libraries)
        return NULL;
    ts_cuda_libraries *const l = static_cast<ts_cuda_libraries *>(calloc(1, sizeof *l));
    if (!l)
        return ts_error(TS_NO_MEMORY, "cannot allocate the list of plans");
    d->libraries = l;
    size_t unused = 0, total = 0;
    const cublasStatus_t made = cublasLtCreate(&l->cublas);
    ts_status status = NULL;
    if (made)
        status = ts_error(TS_DEVICE, "cuBLASLt does not start: %s", cublasLtGetStatusString(made));
    if (!status)
        status = ts_cuda_check(device, cudaEventCreate(&l->start), "making an event");
    if (!status)
        status = ts_cuda_check(device, cudaEventCreate(&l->stop), "making an event");
    if (!status)
        status = ts_cuda_check(device, cudaMemGetInfo(&unused, &total), "asking for the card's memory");
    if (status) {
        ts_cuda_libraries_free(device);
        return status;
    }
    l->workspace_limit = total / 16;
    *libraries = l;
    return NULL;
}

void ts_cuda_libraries_free(ts_device *device)
{
    ts_cuda_libraries *const l = ts_cuda(device)->libraries;
    ts_cuda(device)->libraries = NULL;
    if (!l)
        return;
    ts_cuda_graphs_free(l);
    ts_cuda_products_free(l);
    if (l->cudnn)
        cudnnDestroy(l->cudnn);
    if (l->cublas)
        cublasLtDestroy(l->cublas);
    if (l->start)
        cudaEventDestroy(l->start);
    if (l->stop)
        cudaEventDestroy(l->stop);
    free(l->algorithms);
    free(l->others);
    free(l);
}

/* ---- versions ---- */

void ts_cuda_versions(char *text, size_t size)
{
    const size_t cudnn = cudnnGetVersion(), cublas = cublasLtGetVersion();
    int runtime = 0, driver = 0;
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    const int length = snprintf(text, size, "cuDNN %zu.%zu.%zu, cuBLASLt %zu.%zu.%zu, CUDA %d.%d, ",
                                cudnn / 10000, cudnn / 100 % 100, cudnn % 100, cublas / 10000,
                                cublas / 100 % 100, cublas % 100, runtime / 1000, runtime / 10 % 100);
    if (length < 0 || (size_t)length >= size)
        return;
    if (driver)
        snprintf(text + length, size - (size_t)length, "driver for CUDA %d.%d", driver / 1000,
                 driver / 10 % 100);
    else
        snprintf(text + length, size - (size_t)length, "no driver");
}

/* ---- timing ---- */

/* Rounds of so many calls as fill one, until the budget is spent; microseconds.  The slack is what the host
 * adds to a call that is timed by itself. */
enum { ROUNDS = 3, CALLS = 10, ROUND = 2000, BUDGET = 20000, SLACK = 50 };

/* The launches of some calls: a step replays them, so that is what is timed, without the host in between. */
static ts_status record(ts_device *device, ts_cuda_timed *call, void *context, int calls,
                        cudaGraphExec_t *launches)
{
    ts_cuda_device *const d = ts_cuda(device);
    cudaGraph_t graph = NULL;
    TS_TRY(
        ts_cuda_check(device, cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal), "timing"));
    d->recording = true;
    ts_status status = NULL;
    for (int i = 0; i < calls && !status; i++)
        status = call(device, context);
    const cudaError_t ended = cudaStreamEndCapture(d->stream, &graph);
    d->recording = false;
    if (status)
        cudaGetLastError(); /* of two errors the first is the cause */
    else
        status = ts_cuda_check(device, ended, "timing");
    if (!status)
        status = ts_cuda_check(device, cudaGraphInstantiateWithFlags(launches, graph, 0), "timing");
    if (graph)
        cudaGraphDestroy(graph);
    return status;
}

/* The time between two events around the launches, or around one call where there are none. */
static ts_status timed(ts_device *device, cudaGraphExec_t launches, ts_cuda_timed *call, void *context,
                       float *microseconds)
{
    const ts_cuda_libraries *const l = ts_cuda(device)->libraries;
    const cudaStream_t stream = ts_cuda(device)->stream;
    float milliseconds = 0;
    TS_TRY(ts_cuda_check(device, cudaEventRecord(l->start, stream), "timing"));
    TS_TRY(launches ? ts_cuda_check(device, cudaGraphLaunch(launches, stream), "timing")
                    : call(device, context));
    TS_TRY(ts_cuda_check(device, cudaEventRecord(l->stop, stream), "timing"));
    TS_TRY(ts_cuda_check(device, cudaEventSynchronize(l->stop), "timing"));
    TS_TRY(ts_cuda_check(device, cudaEventElapsedTime(&milliseconds, l->start, l->stop), "timing"));
    *microseconds = milliseconds * 1000.0f;
    return NULL;
}

ts_status ts_cuda_time(ts_device *device, ts_cuda_timed *call, void *context, float bound,
                       float *microseconds)
{
    ts_cuda_libraries *l = NULL;
    TS_TRY(ts_cuda_libraries_of(device, &l));
    TS_TRY(call(device, context)); /* loads and allocates */
    TS_TRY(timed(device, NULL, call, context, microseconds));
    if (*microseconds > 1.5f * bound + SLACK)
        return NULL;
    const int fit = (int)(ROUND / (*microseconds + 1.0f));
    const int calls = fit < 1 ? 1 : fit < CALLS ? fit : CALLS;
    cudaGraphExec_t launches = NULL;
    TS_TRY(record(device, call, context, calls, &launches));
    ts_status status = NULL;
    float spent = 0;
    for (int round = 0; round < ROUNDS && spent < BUDGET && !status; round++) {
        float all = 0;
        status = timed(device, launches, call, context, &all);
        spent += all;
        if (!status && (round == 0 || all / (float)calls < *microseconds))
            *microseconds = all / (float)calls;
    }
    cudaGraphExecDestroy(launches);
    return status;
}

/* ---- algorithms as text ---- */

#define HEADING "tstar choices: "

/* What the section of lines after it holds for: those of other cards, versions and types are kept as they
 * are. */
static void heading(const ts_device *device, char *line, size_t room)
{
    snprintf(line, room, HEADING "cuDNN %zu, cuBLASLt %zu, %s, %s\n", cudnnGetVersion(), cublasLtGetVersion(),
             device->description, device->activation == TS_BF16 ? "bfloat16" : "float32");
}

void ts_cuda_append(ts_cuda_text *text, const char *format, ...)
{
    va_list arguments;
    if (!text->text)
        return;
    for (;;) {
        va_start(arguments, format);
        const int more = vsnprintf(text->text + text->length, text->room - text->length, format, arguments);
        va_end(arguments);
        if (more >= 0 && text->length + (size_t)more < text->room) {
            text->length += (size_t)more;
            return;
        }
        char *const grown =
            more < 0 ? NULL : static_cast<char *>(realloc(text->text, 2 * text->room + (size_t)more));
        if (!grown) {
            free(text->text);
            text->text = NULL;
            return;
        }
        text->text = grown;
        text->room = 2 * text->room + (size_t)more;
    }
}

/* What was chosen earlier and not asked for since. */
static void append_earlier(const ts_cuda_libraries *l, ts_cuda_text *text)
{
    for (const char *line = l->algorithms ? strchr(l->algorithms, '\n') : NULL;
         line && line[1] && text->text;) {
        const size_t all = strcspn(line + 1, "\n");
        const char *const colon = static_cast<const char *>(memchr(line + 1, ':', all));
        char *const name = colon ? strndup(line, (size_t)(colon - line) + 1) : NULL; /* "\nNAME:" */
        if (name && !strstr(text->text, name))
            ts_cuda_append(text, "%.*s\n", (int)all, line + 1);
        free(name);
        line = line[1 + all] ? line + 1 + all : NULL;
    }
}

ts_status ts_cuda_algorithms_export(ts_device *device, char **text)
{
    ts_cuda_libraries *l = NULL;
    char line[512];
    *text = NULL;
    TS_TRY(ts_cuda_libraries_of(device, &l));
    ts_cuda_text t = {static_cast<char *>(calloc(1, 4096)), 0, 4096};
    heading(device, line, sizeof line);
    ts_cuda_append(&t, "%s", line);
    ts_cuda_graphs_export(l, &t);
    ts_cuda_products_export(l, &t);
    append_earlier(l, &t);
    if (l->others)
        ts_cuda_append(&t, "%s", l->others);
    if (!t.text)
        return ts_error(TS_NO_MEMORY, "cannot allocate the text of the algorithms");
    *text = t.text;
    return NULL;
}

/* Where the section that begins at `text` ends. */
static const char *section_end(const char *text)
{
    const char *const next = strstr(text, "\n" HEADING);
    return next ? next + 1 : text + strlen(text);
}

ts_status ts_cuda_algorithms_import(ts_device *device, const char *text)
{
    ts_cuda_libraries *l = NULL;
    char line[512];
    TS_TRY(ts_cuda_libraries_of(device, &l));
    heading(device, line, sizeof line);
    ts_cuda_text ours = {static_cast<char *>(calloc(1, 256)), 0, 256}, others = ours;
    others.text = static_cast<char *>(calloc(1, 256));
    for (const char *section = text, *end; *section; section = end) {
        end = section_end(section);
        if (strncmp(section, HEADING, strlen(HEADING)) != 0)
            continue;
        const bool mine = strncmp(section, line, strlen(line)) == 0;
        if (!mine || ours.length == 0)
            ts_cuda_append(mine ? &ours : &others, "%.*s", (int)(end - section), section);
    }
    free(l->algorithms);
    free(l->others);
    l->algorithms = ours.text;
    l->others = others.text;
    return ours.text && others.text ? NULL
                                    : ts_error(TS_NO_MEMORY, "cannot allocate the text of the algorithms");
}

const char *ts_cuda_earlier_algorithm(const ts_cuda_libraries *libraries, const char *name, size_t *length)
{
    const size_t prefix = strlen(name);
    for (const char *line = libraries->algorithms; line && *line;) {
        const size_t all = strcspn(line, "\n");
        if (all > prefix + 2 && strncmp(line, name, prefix) == 0 && strncmp(line + prefix, ": ", 2) == 0) {
            *length = all - prefix - 2;
            return line + prefix + 2;
        }
        line += all + (line[all] == '\n');
    }
    return NULL;
}
