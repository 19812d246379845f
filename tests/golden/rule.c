#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rule.h"

/* ---- random numbers: Philox4x32-10 (Salmon et al. 2011), Box and Muller (1958) ---- */

static void philox(const uint32_t counter[4], uint32_t key0, uint32_t key1, uint32_t word[4])
{
    memcpy(word, counter, 4 * sizeof *word);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * word[0], b = (uint64_t)0xCD9E8D57u * word[2];
        word[0] = (uint32_t)(b >> 32) ^ word[1] ^ key0;
        word[1] = (uint32_t)b;
        word[2] = (uint32_t)(a >> 32) ^ word[3] ^ key1;
        word[3] = (uint32_t)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

void rule_normals(uint32_t key0, uint32_t key1, int64_t count, double *normals)
{
    for (int64_t i = 0; i < count; i += 4) {
        uint32_t word[4];
        double four[4];
        philox((const uint32_t[]){(uint32_t)(i / 4), 0, 0, 0}, key0, key1, word);
        for (int j = 0; j < 4; j += 2) {
            const double radius = sqrt(-2 * log((word[j] + 0.5) * 0x1p-32));
            const double angle = 2 * M_PI * (word[j + 1] + 0.5) * 0x1p-32;
            four[j] = radius * cos(angle);
            four[j + 1] = radius * sin(angle);
        }
        memcpy(normals + i, four, sizeof *four * (size_t)(count - i < 4 ? count - i : 4));
    }
}

static void expect(bool good, const char *what)
{
    if (good)
        return;
    printf("FAILED  the test's own generator: %s is not what README.md lists\n", what);
    exit(1);
}

void rule_check_vectors(void)
{
    static const struct {
        uint32_t key0, key1;
        int count;
        double normals[8];
    } vectors[] = {
        {RULE_WEIGHTS,
         0,
         8,
         {0.7191631881535481, 0.5647823866888916, 0.1081664993813059, -1.3313580210344016,
          0.27814931221165234, -0.8251183754823238, -1.6161661200855022, -0.5975820322445708}},
        {RULE_WEIGHTS, 5, 2, {1.004668764672263, -0.34563381077839983}},
        {RULE_SKETCH, 0, 2, {-0.2462323797674368, -0.20928776002411337}},
        {RULE_SKETCH + 3, 7, 2, {-0.1563073031567152, -0.7808976254341516}},
    };
    static const uint32_t zero[4] = {0}, zeros[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                          first[4] = {0xa886a7c8, 0x1b1fd996, 0x68e81671, 0xc34d8fb6};
    uint32_t word[4];
    philox(zero, 0, 0, word);
    expect(!memcmp(word, zeros, sizeof word), "Random123's block of zeros");
    philox(zero, RULE_WEIGHTS, 0, word);
    expect(!memcmp(word, first, sizeof word), "the first block of the weights");
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        double normals[8];
        rule_normals(vectors[i].key0, vectors[i].key1, vectors[i].count, normals);
        for (int k = 0; k < vectors[i].count; k++)
            expect(fabs(normals[k] - vectors[i].normals[k]) < 1e-14, "a normal");
    }
}

/* ---- weights ---- */

bool rule_weight(const rule_parameter *p, uint32_t index, double fourier_scale, float *values)
{
    static const char *const small[] = {"bias", "b", "logs", "lower", "upper", "log_s"};
    const char *dot = strrchr(p->name, '.'), *last = dot ? dot + 1 : p->name;
    double offset = 0, scale = 0;
    if (strcmp(last, "weight") == 0 && p->rank >= 2) {
        scale = sqrt(1 / ((double)p->count / (double)p->shape[0]));
    } else if (strcmp(last, "weight") == 0) { /* a normalisation's */
        offset = 1;
        scale = 0.1;
    } else if (strcmp(last, "W") == 0 && p->rank == 2) { /* [in, out] */
        scale = sqrt(1 / (double)p->shape[0]);
    } else if (strcmp(last, "W") == 0 && p->rank == 1) { /* Fourier frequencies */
        scale = fourier_scale;
    }
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        if (strcmp(last, small[i]) == 0)
            scale = 0.1;
    if (scale == 0)
        return false;
    double *normals = malloc((size_t)p->count * sizeof *normals);
    if (!normals)
        return false;
    rule_normals(RULE_WEIGHTS, index, p->count, normals);
    for (int64_t i = 0; i < p->count; i++)
        values[i] = (float)(offset + scale * normals[i]);
    free(normals);
    return true;
}

/* ---- sketches ---- */

void rule_sketch(const double *gradient, int64_t count, uint32_t index, double sketch[5])
{
    double *direction = malloc((size_t)count * sizeof *direction);
    memset(sketch, 0, 5 * sizeof *sketch);
    for (uint32_t k = 0; direction && k < 4; k++) {
        rule_normals(RULE_SKETCH + k, index, count, direction);
        for (int64_t i = 0; i < count; i++)
            sketch[k] += gradient[i] * direction[i] / sqrt((double)count);
    }
    for (int64_t i = 0; i < count; i++)
        sketch[4] += gradient[i] * gradient[i];
    sketch[4] = direction ? sqrt(sketch[4]) : NAN;
    free(direction);
}
