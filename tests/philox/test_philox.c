/*
 * Random numbers: Philox against the published vectors, the layout of the counter, the CPU's vectorised
 * transforms against double precision, their distributions, and all of it against cuRAND's host generator
 * where the toolkit is installed.
 *
 * To add a case, add a published vector or a law to its test, or a test to the list in main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/cpu.h"

enum { MANY = 1 << 20 };

static const ts_step_state states[] = {
    {.seed = 0, .step = 0, .instance = 0},
    {.seed = 42, .step = 1, .instance = 0},
    {.seed = 0x123456789abcdefull, .step = 4000000000u, .instance = 3},
};

static void *array(size_t bytes)
{
    void *memory = malloc(bytes);
    assert_non_null(memory);
    return memory;
}

/* ---- Philox ---- */

/* kat_vectors of Random123 (Salmon et al. 2011), philox4x32 10: counter, key, result. */
static void known_answers(void **unused)
{
    static const struct {
        uint32_t counter[4], key[2], result[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const uint32_t *c = vectors[i].counter, *k = vectors[i].key;
        ts_philox_words w = ts_philox((uint64_t)k[1] << 32 | k[0], c[0], c[1], c[2], c[3]);
        assert_memory_equal(w.v, vectors[i].result, sizeof w.v);
    }
}

/* An element's value follows from its number as philox.h says: uniforms exactly, normals to float32. */
static void layout(void **unused)
{
    (void)unused;
    enum { COUNT = 10000, FIRST = 4 * 777 };
    float *u = array(COUNT * sizeof *u), *z = array(COUNT * sizeof *z);
    double worst = 0.0;
    for (size_t k = 0; k < sizeof states / sizeof *states; k++) {
        ts_cpu_uniforms(&states[k], TS_STREAM_TEST, FIRST, COUNT, u);
        ts_cpu_normals(&states[k], TS_STREAM_TEST, FIRST, COUNT, z);
        for (int i = 0; i < COUNT; i += 4) {
            ts_philox_words w = ts_philox(states[k].seed, (FIRST + (uint32_t)i) / 4, states[k].step,
                                          TS_STREAM_TEST, states[k].instance);
            for (int j = 0; j < 4; j++)
                assert_true(u[i + j] == ts_uniform_from(w.v[j]));
            for (int j = 0; j < 4; j += 2) {
                double radius = sqrt(-2.0 * log(ldexp(w.v[j] + 0.5, -32)));
                double angle = 6.283185307179586 * ldexp(w.v[j + 1] + 0.5, -32);
                worst = fmax(worst, fabs(z[i + j] - radius * sin(angle)));
                worst = fmax(worst, fabs(z[i + j + 1] - radius * cos(angle)));
            }
        }
    }
    printf("normals against double precision: largest difference %.2e\n", worst);
    /* rounding the angle to float32 gives 2.4e-7 times a radius of up to 6.7, rounding u near 1 about as
     * much */
    assert_true(worst < 4e-6);
    free(u);
    free(z);
}

/* Any split of a range gives the same bits. */
static void splits(void **unused)
{
    (void)unused;
    enum { COUNT = 20000 };
    typedef void function(const ts_step_state *, uint32_t, uint64_t, int64_t, float *);
    function *const functions[] = {ts_cpu_normals, ts_cpu_uniforms};
    float *whole = array(COUNT * sizeof *whole), *parts = array(COUNT * sizeof *parts);
    for (int f = 0; f < 2; f++) {
        functions[f](&states[2], TS_STREAM_TEST, 64, COUNT, whole);
        for (uint32_t trial = 0; trial < 20; trial++) {
            memset(parts, 0xff, COUNT * sizeof *parts);
            int64_t done = 0;
            for (uint32_t k = 0; done < COUNT; k++) {
                int64_t share = 4 * (1 + (int64_t)(ts_philox(5, trial, k, 0, 0).v[0] % 300));
                share = share < COUNT - done ? share : COUNT - done;
                functions[f](&states[2], TS_STREAM_TEST, 64 + (uint64_t)done, share, parts + done);
                done += share;
            }
            assert_memory_equal(whole, parts, COUNT * sizeof *parts);
        }
        for (int64_t count = 1; count < 10; count++) { /* nothing is written behind a short range */
            parts[count] = 123.0f;
            functions[f](&states[2], TS_STREAM_TEST, 64, count, parts);
            assert_memory_equal(whole, parts, (size_t)count * sizeof *parts);
            assert_true(parts[count] == 123.0f);
        }
    }
    free(whole);
    free(parts);
}

/* ---- distributions ---- */

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double uniform_cdf(double x)
{
    return x;
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* sqrt(n) times the Kolmogorov-Smirnov distance; sorts x. */
static double kolmogorov_smirnov(float *x, int n, double (*cdf)(double))
{
    double worst = 0.0;
    qsort(x, (size_t)n, sizeof *x, ascending);
    for (int i = 0; i < n; i++) {
        double p = cdf(x[i]);
        worst = fmax(worst, fmax(fabs(p - (double)i / n), fabs(p - (double)(i + 1) / n)));
    }
    return worst * sqrt(n);
}

/* Mean of the product of x and y, in standard errors; x and y have mean 0 and variance 1. */
static double correlation(const float *x, const float *y, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum / sqrt(n);
}

/* Standard errors of the first four moments of N(0,1) are sqrt(1, 2, 15, 96)/sqrt(n); 4 of them are a chance
 * of 6e-5, and a scaled distance of 1.95 one of 1e-3.  The seeds are fixed. */
static void normals(void **unused)
{
    (void)unused;
    float *z = array(MANY * sizeof *z), *other = array(MANY * sizeof *other);
    for (size_t k = 0; k < sizeof states / sizeof *states; k++) {
        double moment[4] = {0}, largest = 0.0;
        ts_cpu_normals(&states[k], TS_STREAM_NOISE, 0, MANY, z);
        for (int i = 0; i < MANY; i++) {
            double x = z[i], power = 1.0;
            assert_true(isfinite(x));
            largest = fmax(largest, fabs(x));
            for (int m = 0; m < 4; m++)
                moment[m] += power *= x;
        }
        static const double want[4] = {0, 1, 0, 3}, variance[4] = {1, 2, 15, 96};
        for (int m = 0; m < 4; m++)
            assert_true(fabs(moment[m] / MANY - want[m]) < 4.0 * sqrt(variance[m] / MANY));
        assert_true(largest > 4.0 && largest <= sqrt(2.0 * 33.0 * log(2.0)));
        assert_true(fabs(correlation(z, z + 1, MANY - 1)) < 4.0); /* sine and cosine of one angle, and on */
        assert_true(fabs(correlation(z, z + 2, MANY - 2)) < 4.0);
        ts_cpu_normals(&states[k], TS_STREAM_SAMPLER, 0, MANY, other);
        assert_true(fabs(correlation(z, other, MANY)) < 4.0);
        ts_step_state next = states[k];
        next.step++;
        ts_cpu_normals(&next, TS_STREAM_NOISE, 0, MANY, other);
        assert_true(fabs(correlation(z, other, MANY)) < 4.0);
        next = states[k];
        next.instance++;
        ts_cpu_normals(&next, TS_STREAM_NOISE, 0, MANY, other);
        assert_true(fabs(correlation(z, other, MANY)) < 4.0);
        double distance = kolmogorov_smirnov(z, MANY, normal_cdf);
        printf("normals, seed %zu: scaled distance %.3f, largest %.3f\n", k, distance, largest);
        assert_true(distance < 1.95);
    }
    free(z);
    free(other);
}

static void uniforms(void **unused)
{
    (void)unused;
    float *u = array(MANY * sizeof *u);
    for (size_t k = 0; k < sizeof states / sizeof *states; k++) {
        double mean = 0.0, square = 0.0;
        ts_cpu_uniforms(&states[k], TS_STREAM_TIME, 0, MANY, u);
        for (int i = 0; i < MANY; i++) {
            assert_true(u[i] > 0.0f && u[i] <= 1.0f);
            mean += u[i];
            square += (double)u[i] * (double)u[i];
        }
        assert_true(fabs(mean / MANY - 0.5) < 4.0 * sqrt(1.0 / 12.0 / MANY));
        assert_true(fabs(square / MANY - 1.0 / 3.0) < 4.0 * sqrt(4.0 / 45.0 / MANY));
        double distance = kolmogorov_smirnov(u, MANY, uniform_cdf);
        printf("uniforms, seed %zu: scaled distance %.3f\n", k, distance);
        assert_true(distance < 1.95);
    }
    free(u);
    assert_true(ts_uniform_from(0) > 0.0f && ts_uniform_from(0xffffffff) == 1.0f);
}

/* ---- the order of the data ---- */

/* ts_shuffle_index is a permutation for any count; across epochs an example's position is uniform: chi^2 over
 * 16 bins has 15 degrees of freedom, of which 44 is exceeded once in 10,000 times. */
static void shuffle(void **unused)
{
    (void)unused;
    static const int64_t counts[] = {1, 2, 3, 5, 16, 17, 1000, 1500, 60000};
    const ts_step_state s = {.seed = 9};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            char *seen = calloc((size_t)counts[k], 1);
            assert_non_null(seen);
            for (int64_t i = 0; i < counts[k]; i++) {
                int64_t j = ts_shuffle_index(&s, epoch, i, counts[k]);
                assert_true(j >= 0 && j < counts[k] && !seen[j]);
                seen[j] = 1;
            }
            free(seen);
        }
    for (int64_t example = 0; example < 1500; example += 300) {
        int bins[16] = {0};
        double chi2 = 0.0;
        for (uint32_t epoch = 0; epoch < 3200; epoch++)
            bins[ts_shuffle_index(&s, epoch, example, 1600) / 100]++;
        for (int b = 0; b < 16; b++)
            chi2 += (bins[b] - 200.0) * (bins[b] - 200.0) / 200.0;
        assert_true(chi2 < 44.0);
    }
}

/* ---- cuRAND ---- */

/* The host generator (CURAND_RNG_PSEUDO_PHILOX4_32_10 = 161) deals the words of 65536 subsequences in turn,
 * four at a time: output element i + 4 * 65536 * offset is word i % 4 of what
 * curand_init(seed, subsequence = i / 4 % 65536, 4 (offset + i / 4 / 65536)) starts with.  With
 * offset = step << 32 | block, subsequence = stream, instance 0, this is the layout of philox.h. */
typedef struct curand {
    void *library, *generator;
    int (*create)(void **generator, int kind);
    int (*destroy)(void *generator);
    int (*set_seed)(void *generator, unsigned long long seed);
    int (*set_offset)(void *generator, unsigned long long offset);
    int (*words)(void *generator, unsigned *out, size_t count);
    int (*uniforms)(void *generator, float *out, size_t count);
    int (*normals)(void *generator, float *out, size_t count, float mean, float deviation);
} curand;

static bool open_curand(curand *c)
{
    static const char *const names[] = {"libcurand.so", "libcurand.so.10",
                                        "/usr/local/cuda/lib64/libcurand.so"};
    *c = (curand){0};
    for (size_t i = 0; i < sizeof names / sizeof *names && !c->library; i++)
        c->library = dlopen(names[i], RTLD_NOW);
    if (!c->library)
        return false;
    *(void **)&c->create = dlsym(c->library, "curandCreateGeneratorHost");
    *(void **)&c->destroy = dlsym(c->library, "curandDestroyGenerator");
    *(void **)&c->set_seed = dlsym(c->library, "curandSetPseudoRandomGeneratorSeed");
    *(void **)&c->set_offset = dlsym(c->library, "curandSetGeneratorOffset");
    *(void **)&c->words = dlsym(c->library, "curandGenerate");
    *(void **)&c->uniforms = dlsym(c->library, "curandGenerateUniform");
    *(void **)&c->normals = dlsym(c->library, "curandGenerateNormal");
    assert_true(c->create && c->destroy && c->set_seed && c->set_offset && c->words && c->uniforms &&
                c->normals);
    return true;
}

static void seek(const curand *c, const ts_step_state *s, uint32_t block)
{
    assert_int_equal(c->set_seed(c->generator, s->seed), 0);
    assert_int_equal(c->set_offset(c->generator, ((uint64_t)s->step << 32 | block) << 18), 0);
}

enum { SUBSEQUENCES = 65536, BLOCKS = 2, WORDS = 4 * BLOCKS * SUBSEQUENCES };

/* Every stream's elements 4 block .. 4 (block + BLOCKS) - 1 against the generator's. */
static void compare(const curand *c, const ts_step_state *s, uint32_t block, unsigned *words, float *uniform,
                    float *normal)
{
    double worst = 0.0;
    seek(c, s, block);
    assert_int_equal(c->words(c->generator, words, WORDS), 0);
    seek(c, s, block);
    assert_int_equal(c->uniforms(c->generator, uniform, WORDS), 0);
    seek(c, s, block);
    assert_int_equal(c->normals(c->generator, normal, WORDS, 0.0f, 1.0f), 0);
    for (uint32_t stream = 0; stream < SUBSEQUENCES; stream++) {
        float u[4 * BLOCKS], z[4 * BLOCKS];
        /* all streams for the words; every 16th for what the vector loops make of them */
        bool transforms = stream < 16 || stream % 16 == 0;
        if (transforms) {
            ts_cpu_uniforms(s, stream, 4 * (uint64_t)block, 4 * BLOCKS, u);
            ts_cpu_normals(s, stream, 4 * (uint64_t)block, 4 * BLOCKS, z);
        }
        for (uint32_t b = 0; b < BLOCKS; b++) {
            ts_philox_words w = ts_random_words(s, stream, block + b);
            size_t at = 4 * ((size_t)b * SUBSEQUENCES + stream);
            assert_memory_equal(w.v, words + at, sizeof w.v);
            for (size_t j = 0; transforms && j < 4; j++) {
                assert_true(u[4 * b + j] == uniform[at + j]);
                worst = fmax(worst, fabs((double)z[4 * b + j] - (double)normal[at + j]));
            }
        }
    }
    printf("cuRAND: step %u, block %u: %d words equal; normals differ by at most %.2e\n", s->step, block,
           WORDS, worst);
    assert_true(worst < 4e-6); /* the angle's last bit, 4.8e-7, times the radius */
}

static void against_curand(void **unused)
{
    (void)unused;
    curand c;
    if (!open_curand(&c)) {
        printf("SKIPPED: no libcurand here; the comparison with cuRAND's host generator needs the CUDA "
               "toolkit\n");
        skip();
    }
    static const struct {
        ts_step_state state;
        uint32_t block;
    } places[] = {
        {{.seed = 0}, 0},
        {{.seed = 0x123456789abcdefull, .step = 7}, 1000},
        {{.seed = 0xffffffffffffffffull, .step = 16383}, 0xfffffff0u},
    };
    unsigned *words = array(WORDS * sizeof *words);
    float *uniform = array(WORDS * sizeof *uniform), *normal = array(WORDS * sizeof *normal);
    assert_int_equal(c.create(&c.generator, 161), 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        compare(&c, &places[i].state, places[i].block, words, uniform, normal);
    assert_int_equal(c.destroy(c.generator), 0);
    /* the library stays: what it keeps for itself would look like a leak without it */
    free(words);
    free(uniform);
    free(normal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),  cmocka_unit_test(layout),   cmocka_unit_test(splits),
        cmocka_unit_test(normals),        cmocka_unit_test(uniforms), cmocka_unit_test(shuffle),
        cmocka_unit_test(against_curand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
