/*
 * Matrix products by cuBLASLt: one algorithm for each shape, chosen by timing at its first run.
 *
 * The library's matrices are column-major.  Row-major d = op(a) op(b) is, read by columns, d^T = op(b)^T
 * op(a)^T: the factors change places and keep their transpositions, and a bias along a row of d is one along
 * a column, which is what the library's epilogue adds.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
#include "kernels/cuda/vendor/libraries.h"

enum { TIMED = 8, WORDS = sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t), NAME = 256 };

#define WORKSPACE ((size_t)32 << 20)

/* What distinguishes one product from another.  Made in zeroed memory: compared as bytes. */
typedef struct product_key {
    int m, n, k, batch, transpose_a, transpose_b, type, type_d;
    int64_t row_a, row_b, row_d, step_a, step_b, step_d;
    int adds, bias; /* beta is not 0 */
    int align_a, align_b, align_c, align_d;
} product_key;

struct ts_cuda_product_entry {
    product_key key;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulHeuristicResult_t offered[TIMED];
    int count;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
    bool chosen;
    ts_cuda_product_entry *next;
};

static void name_of(const product_key *k, char *text)
{
    snprintf(text, NAME, "product of %dx%d by %dx%d, %d times, %s%s", k->m, k->k, k->k, k->n, k->batch,
             k->type == TS_BF16 ? "bfloat16" : "float32", k->type == k->type_d ? "" : " to float32");
}

static ts_status failed(ts_device *device, const product_key *key, cublasStatus_t status)
{
    char name[NAME];
    name_of(key, name);
    TS_TRY(ts_cuda_check(device, cudaGetLastError(), name));
    return ts_error(status == CUBLAS_STATUS_ALLOC_FAILED ? TS_NO_MEMORY : TS_DEVICE, "%s: cuBLASLt: %s", name,
                    cublasLtGetStatusString(status));
}

/* ---- keys ---- */

/* The largest power of two up to 16 that divides the address. */
static int alignment(const void *p)
{
    const uintptr_t address = reinterpret_cast<uintptr_t>(p) | 16;
    return (int)(address & (~address + 1));
}

static product_key key_of(const ts_cuda_product *p)
{
    product_key k;
    memset(&k, 0, sizeof k);
    k.m = p->m, k.n = p->n, k.k = p->k, k.batch = p->batch;
    k.transpose_a = p->transpose_a, k.transpose_b = p->transpose_b;
    k.type = p->type, k.type_d = p->type_d;
    k.row_a = p->row_a, k.row_b = p->row_b, k.row_d = p->row_d;
    if (p->batch > 1)
        k.step_a = p->step_a, k.step_b = p->step_b, k.step_d = p->step_d;
    k.adds = p->beta != 0.0f;
    k.bias = p->bias != NULL;
    k.align_a = alignment(p->a), k.align_b = alignment(p->b), k.align_d = alignment(p->d);
    k.align_c = k.adds ? alignment(p->c) : k.align_d;
    return k;
}

static void key_text(const product_key *k, char *text, size_t room)
{
    snprintf(text, room, "product %d %d %d %d %d %d %d %d %lld %lld %lld %lld %lld %lld %d %d %d %d %d %d",
             k->m, k->n, k->k, k->batch, k->transpose_a, k->transpose_b, k->type, k->type_d,
             (long long)k->row_a, (long long)k->row_b, (long long)k->row_d, (long long)k->step_a,
             (long long)k->step_b, (long long)k->step_d, k->adds, k->bias, k->align_a, k->align_b, k->align_c,
             k->align_d);
}

/* ---- entries ---- */

static cudaDataType type_of(int type)
{
    return type == TS_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* A matrix that lies by rows of `row` elements, as the library reads it. */
static cublasStatus_t layout(cublasLtMatrixLayout_t *l, int type, int columns, int rows, int64_t row,
                             int batch, int64_t step)
{
    cublasStatus_t status =
        cublasLtMatrixLayoutCreate(l, type_of(type), (uint64_t)columns, (uint64_t)rows, row);
    if (!status && batch > 1)
        status =
            cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
    if (!status && batch > 1)
        status = cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                                                  sizeof step);
    return status;
}

static cublasStatus_t set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, const void *value,
                          size_t bytes)
{
    return cublasLtMatmulDescSetAttribute(d, name, value, bytes);
}

/* First factor b, second a. */
static cublasStatus_t describe(ts_cuda_product_entry *e)
{
    const product_key *const k = &e->key;
    const cublasOperation_t first = k->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = k->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasStatus_t status = cublasLtMatmulDescCreate(&e->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (!status)
        status = set(e->operation, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
    if (!status)
        status = set(e->operation, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
    if (!status && k->bias) {
        const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        const cudaDataType type = type_of(k->type_d);
        status = set(e->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
        if (!status)
            status = set(e->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type);
    }
    if (!status)
        status = layout(&e->b, k->type, k->transpose_b ? k->k : k->n, k->transpose_b ? k->n : k->k, k->row_b,
                        k->batch, k->step_b);
    if (!status)
        status = layout(&e->a, k->type, k->transpose_a ? k->m : k->k, k->transpose_a ? k->k : k->m, k->row_a,
                        k->batch, k->step_a);
    if (!status)
        status = layout(&e->d, k->type_d, k->n, k->m, k->row_d, k->batch, k->step_d);
    return status;
}

static cublasStatus_t prefer(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t name,
                             const void *value, size_t bytes)
{
    return cublasLtMatmulPreferenceSetAttribute(p, name, value, bytes);
}

/* The algorithms that the library advises.  Partial sums are added in float32 in a fixed order. */
static cublasStatus_t ask(cublasLtHandle_t handle, ts_cuda_product_entry *e)
{
    const size_t workspace = WORKSPACE;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const uint32_t aligned[4] = {(uint32_t)e->key.align_b, (uint32_t)e->key.align_a, (uint32_t)e->key.align_c,
                                 (uint32_t)e->key.align_d};
    static const cublasLtMatmulPreferenceAttributes_t names[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasLtMatmulPreference_t p = NULL;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&p);
    if (!status)
        status = prefer(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    if (!status)
        status = prefer(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction);
    for (int i = 0; i < 4 && !status; i++)
        status = prefer(p, names[i], &aligned[i], sizeof aligned[i]);
    if (!status)
        status = cublasLtMatmulAlgoGetHeuristic(handle, e->operation, e->b, e->a, e->d, e->d, p, TIMED,
                                                e->offered, &e->count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
        e->count = 0;
        status = CUBLAS_STATUS_SUCCESS;
    }
    if (p)
        cublasLtMatmulPreferenceDestroy(p);
    return status;
}

/* An algorithm as it stands in the text of algorithms: sixteen hexadecimal digits a word. */
static void algorithm_text(const cublasLtMatmulAlgo_t *algorithm, char text[16 * WORDS + 1])
{
    for (int i = 0; i < (int)WORDS; i++)
        snprintf(text + 16 * i, 17, "%016llx", (unsigned long long)algorithm->data[i]);
}

/* What an earlier run chose, if it is among what the library advises now. */
static void restore(const ts_cuda_libraries *l, ts_cuda_product_entry *e)
{
    char text[NAME], algorithm[16 * WORDS + 1];
    size_t length = 0;
    key_text(&e->key, text, sizeof text);
    const char *const earlier = ts_cuda_earlier_algorithm(l, text, &length);
    for (int i = 0; earlier && length == 16 * WORDS && i < e->count && !e->chosen; i++) {
        algorithm_text(&e->offered[i].algo, algorithm);
        if (memcmp(algorithm, earlier, length) == 0) {
            e->algorithm = e->offered[i].algo;
            e->workspace = e->offered[i].workspaceSize;
            e->chosen = true;
        }
    }
}

static void free_entry(ts_cuda_product_entry *e)
{
    if (e->operation)
        cublasLtMatmulDescDestroy(e->operation);
    for (cublasLtMatrixLayout_t l : {e->a, e->b, e->d})
        if (l)
            cublasLtMatrixLayoutDestroy(l);
    free(e);
}

static ts_status entry_of(ts_device *device, const ts_cuda_product *p, ts_cuda_product_entry **entry)
{
    ts_cuda_libraries *l = NULL;
    const product_key key = key_of(p);
    TS_TRY(ts_cuda_libraries_of(device, &l));
    ts_cuda_product_entry **const bucket = &l->products[ts_cuda_bucket(&key, sizeof key)];
    for (ts_cuda_product_entry *e = *bucket; e; e = e->next)
        if (memcmp(&e->key, &key, sizeof key) == 0) {
            *entry = e;
            return NULL;
        }
    ts_cuda_product_entry *const e = static_cast<ts_cuda_product_entry *>(calloc(1, sizeof *e));
    if (!e)
        return ts_error(TS_NO_MEMORY, "cannot allocate a plan");
    e->key = key;
    cublasStatus_t status = describe(e);
    if (!status)
        status = ask(l->cublas, e);
    if (status) {
        free_entry(e);
        return failed(device, &key, status);
    }
    if (e->count > 0) {
        e->algorithm = e->offered[0].algo;
        e->workspace = e->offered[0].workspaceSize;
    }
    restore(l, e);
    cudaGetLastError(); /* what asking left there the next launch would take for its own */
    e->next = *bucket;
    *bucket = e;
    *entry = e;
    return NULL;
}

void ts_cuda_products_free(ts_cuda_libraries *l)
{
    for (int i = 0; i < TS_CUDA_BUCKETS; i++)
        while (l->products[i]) {
            ts_cuda_product_entry *const e = l->products[i];
            l->products[i] = e->next;
            free_entry(e);
        }
}

void ts_cuda_products_export(const ts_cuda_libraries *l, ts_cuda_text *text)
{
    char key[NAME], algorithm[16 * WORDS + 1];
    for (int i = 0; i < TS_CUDA_BUCKETS; i++)
        for (const ts_cuda_product_entry *e = l->products[i]; e; e = e->next)
            if (e->chosen) {
                key_text(&e->key, key, sizeof key);
                algorithm_text(&e->algorithm, algorithm);
                ts_cuda_append(text, "%s: %s\n", key, algorithm);
            }
}

/* ---- running ---- */

typedef struct run {
    ts_cuda_product_entry *entry;
    const ts_cuda_product *product;
    const cublasLtMatmulAlgo_t *algorithm;
    size_t workspace_bytes;
    void *d;
} run;

static ts_status run_algorithm(ts_device *device, void *context)
{
    const run *const r = static_cast<const run *>(context);
    const ts_cuda_product *const p = r->product;
    ts_cuda_product_entry *const e = r->entry;
    const void *const c = e->key.adds ? p->c : r->d;
    void *workspace = NULL;
    if (r->workspace_bytes > 0)
        TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_WORKSPACE, r->workspace_bytes, &workspace));
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (p->bias)
        status = set(e->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    device->launches++;
    if (!status)
        status = cublasLtMatmul(ts_cuda(device)->libraries->cublas, e->operation, &p->alpha, p->b, e->b, p->a,
                                e->a, &p->beta, c, e->d, r->d, e->d, r->algorithm, workspace,
                                r->workspace_bytes, ts_cuda(device)->stream);
    return status ? failed(device, &e->key, status) : NULL;
}

/* Keeps the fastest of what the library advises; one that does not run is out of the race.  The results go to
 * scratch: d may be among what is read. */
static ts_status choose(ts_device *device, ts_cuda_product_entry *e, const ts_cuda_product *p)
{
    const product_key *const k = &e->key;
    const size_t count =
        (size_t)std::max<int64_t>(k->step_d, 0) * (size_t)(k->batch - 1) + (size_t)k->row_d * (size_t)k->m;
    void *d = NULL;
    float best = INFINITY;
    ts_status status =
        e->count < 2 ? NULL
                     : ts_cuda_scratch(device, TS_CUDA_SLOT_TUNING, count * ts_dtype_size(p->type_d), &d);
    const bool race =
        d != NULL; /* without an algorithm kept or room for one the likely algorithm has to do */
    if (status && ts_status_code(status) != TS_NO_MEMORY)
        return status;
    ts_status_free(status);
    for (int i = 0; race && i < e->count; i++) {
        const cublasLtMatmulHeuristicResult_t *const o = &e->offered[i];
        run r = {e, p, &o->algo, o->workspaceSize, d};
        float time = INFINITY;
        status = ts_cuda_time(device, run_algorithm, &r, best, &time);
        if (ts_cuda(device)->latched != TS_OK)
            return status;
        if (!status && time < best) {
            best = time;
            e->algorithm = o->algo;
            e->workspace = o->workspaceSize;
        }
        ts_status_free(status);
    }
    e->chosen = true;
    return NULL;
}

ts_status ts_cuda_product_supported(ts_device *device, const ts_cuda_product *p, bool *supported)
{
    ts_cuda_product_entry *e = NULL;
    *supported = false;
    TS_TRY(entry_of(device, p, &e));
    *supported = e->count > 0;
    return NULL;
}

ts_status ts_cuda_multiply(ts_device *device, const ts_cuda_product *p)
{
    ts_cuda_product_entry *e = NULL;
    TS_TRY(entry_of(device, p, &e));
    if (e->count == 0) {
        char name[NAME];
        name_of(&e->key, name);
        return ts_error(TS_UNSUPPORTED, "%s: cuBLASLt %zu has no algorithm for it on %s", name,
                        cublasLtGetVersion(), device->description);
    }
    if (!e->chosen && !ts_cuda(device)->recording)
        TS_TRY(choose(device, e, p));
    run r = {e, p, &e->algorithm, e->workspace, p->d};
    return run_algorithm(device, &r);
}

/* ---- the ceiling of benchmarks ---- */

static ts_status multiply(ts_device *device, void *context)
{
    return ts_cuda_multiply(device, static_cast<const ts_cuda_product *>(context));
}

ts_status ts_cuda_ceiling(ts_device *device, double *flops)
{
    enum { SIDE = 8192, TIMES = 5 };
    const size_t count = (size_t)SIDE * SIDE, bytes = count * ts_dtype_size(device->activation);
    const ts_kernels *const k = device->k;
    void *memory[3] = {};
    void *state = NULL;
    float microseconds[TIMES] = {};
    ts_status status = k->allocate(device, sizeof(ts_step_state), &state);
    for (int i = 0; i < 3 && !status; i++)
        status = k->allocate(device, bytes, &memory[i]);
    /* Random numbers: with zeros the card draws less power and shows more than it can do. */
    for (int i = 0; i < 2 && !status; i++) {
        ts_fill_random fill = {};
        fill.count = (int64_t)count;
        fill.scale = 1.0f;
        fill.stream = TS_STREAM_TEST;
        fill.element = (uint32_t)(count * (size_t)i);
        fill.state = static_cast<const ts_step_state *>(state);
        fill.out = memory[i];
        status = k->fill_random(device, &fill);
    }
    if (!status) {
        ts_cuda_product p = {};
        p.m = p.n = p.k = SIDE;
        p.batch = 1;
        p.transpose_b = true;
        p.type = p.type_d = device->activation;
        p.row_a = p.row_b = p.row_d = SIDE;
        p.alpha = 1.0f;
        p.a = memory[0], p.b = memory[1], p.d = memory[2];
        for (int i = 0; i < TIMES && !status; i++)
            status = ts_cuda_time(device, multiply, &p, INFINITY, &microseconds[i]);
    }
    for (void *m : memory)
        k->release(device, m);
    k->release(device, state);
    std::sort(microseconds, microseconds + TIMES);
    if (!status)
        *flops = 2.0 * SIDE * SIDE * SIDE / (1e-6 * (double)microseconds[TIMES / 2]);
    return status;
}
