/*
 * Runs a fuzz target without clang: mutations of its seeds, the same ones in the same order each time.
 *
 *     fuzz_NAME [--seconds S] [--runs N] [--seed N]      ends after the first of both
 *     fuzz_NAME FILE...                                  these inputs instead
 *
 * An input that ends the process, or takes longer than ten seconds, is kept as crash_NAME.
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "fuzz.h"

enum { LARGEST = 1 << 16, SECONDS = 10 };

int LLVMFuzzerInitialize(int *argc, char ***argv);

static uint8_t input[LARGEST];
static size_t size;
static const char *crash_path;

/* ---- when it ends badly ---- */

static void keep(void)
{
    FILE *file = fopen(crash_path, "wb");
    if (!file)
        return;
    fwrite(input, 1, size, file);
    fclose(file);
    fprintf(stderr, "the input is in %s\n", crash_path);
}

static void on_signal(int number)
{
    signal(number, SIG_DFL);
    fprintf(stderr, "%s\n", number == SIGALRM ? "no end after ten seconds" : strsignal(number));
    keep();
    raise(number == SIGALRM ? SIGABRT : number);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    signal(SIGALRM, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep);
    else
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            signal(signals[i], on_signal);
}

/* ---- mutations ---- */

/* xorshift64* (Vigna 2016) */
static uint64_t random_state = 1;

static uint32_t below(uint64_t count)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1Du >> 32) % (count ? count : 1));
}

static void erase(size_t at, size_t count)
{
    memmove(input + at, input + at + count, size - at - count);
    size -= count;
}

static void insert(size_t at, const void *bytes, size_t count)
{
    if (count > LARGEST - size)
        count = LARGEST - size;
    memmove(input + at + count, input + at, size - at);
    memcpy(input + at, bytes, count);
    size += count;
}

static void insert_copy(size_t at, const uint8_t *from, size_t count)
{
    static uint8_t copy[LARGEST];
    memcpy(copy, from, count);
    insert(at, copy, count);
}

/* A word of any of the formats, or a number at the border of a type, in place of the word or number at
 * `at`. */
static void replace_word(size_t at)
{
    static const char *const words[] = {"0",
                                        "-1",
                                        "1",
                                        "2147483647",
                                        "2147483648",
                                        "4294967296",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "1e308",
                                        "1e-320",
                                        "1e999",
                                        "nan",
                                        "inf",
                                        "null",
                                        "true",
                                        "\"\"",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        ":",
                                        ",",
                                        "- ",
                                        "? ",
                                        "\n",
                                        "#",
                                        "&a ",
                                        "*a",
                                        "!!x ",
                                        "|\n",
                                        "'",
                                        "\"",
                                        "\\u0000",
                                        "\xff",
                                        "\xc3\xa9",
                                        "F32",
                                        "F64",
                                        "I64",
                                        "U8",
                                        "BF16",
                                        "/",
                                        "../",
                                        "%n%s",
                                        "\t",
                                        "\r\n"};
    const char *word = words[below(sizeof words / sizeof *words)];
    size_t end = at;
    while (end < size && end - at < 24 && (strchr(".-_", input[end]) || isalnum(input[end])))
        end++;
    erase(at, end - at);
    insert(at, word, strlen(word));
}

static void write_integer(size_t at)
{
    static const uint64_t values[] = {0,
                                      1,
                                      0x7F,
                                      0x80,
                                      0xFF,
                                      0x7FFF,
                                      0xFFFF,
                                      0x7FFFFFFF,
                                      0xFFFFFFFF,
                                      0x7FFFFFFFFFFFFFFF,
                                      0xFFFFFFFFFFFFFFFF,
                                      0x0100000000000000};
    const uint64_t value = values[below(sizeof values / sizeof *values)];
    const size_t bytes = (size_t)1 << below(4);
    const bool big = below(2);
    for (size_t i = 0; i < bytes && at + i < size; i++)
        input[at + i] = (uint8_t)(value >> 8 * (big ? bytes - 1 - i : i));
}

static void mutate(void)
{
    const size_t at = below(size + 1), count = below(size - at < 64 ? size - at + 1 : 64);
    const fuzz_input *other = &fuzz_seeds[below((uint64_t)fuzz_seed_count)];
    const size_t from = below(other->size + 1), most = other->size - from;
    switch (below(10)) {
    case 0:
    case 1:
        if (at < size)
            input[at] ^= (uint8_t)(1 << below(8));
        break;
    case 2:
        if (at < size)
            input[at] = (uint8_t)below(256);
        break;
    case 3:
        erase(at, count);
        break;
    case 4:
        insert_copy(at, input + (at - (at < 32 ? at : 32)), at < 32 ? at : 32);
        break;
    case 5:
        insert_copy(at, other->data + from, most < 256 ? most : below(256));
        break;
    case 6:
    case 7:
        replace_word(at);
        break;
    case 8:
        write_integer(at < size ? at : 0);
        break;
    case 9:
        if (below(8) == 0)
            size = at;
        else
            write_integer(below(64));
        break;
    }
}

static void make_input(int64_t run)
{
    const fuzz_input *seed =
        &fuzz_seeds[run < fuzz_seed_count ? (uint64_t)run : below((uint64_t)fuzz_seed_count)];
    size = seed->size < LARGEST ? seed->size : LARGEST;
    memcpy(input, seed->data, size);
    if (run < fuzz_seed_count)
        return;
    for (uint32_t i = 1 + below(6); i > 0; i--)
        mutate();
}

/* ---- running ---- */

static void run_input(void)
{
    /* exactly as much memory as there are bytes, so that a sanitizer sees the one behind them */
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, input, size);
    alarm(SECONDS);
    LLVMFuzzerTestOneInput(exact, size);
    alarm(0);
    free(exact);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size = fread(input, 1, LARGEST, file);
    fclose(file);
    run_input();
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    double seconds = 5;
    int64_t runs = INT64_MAX, run = 0;
    static char path[256];
    const char *slash = strrchr(argv[0], '/'), *environment = getenv("TSTAR_FUZZ_SECONDS");
    snprintf(path, sizeof path, "crash_%s", slash ? slash + 1 : argv[0]);
    crash_path = path;
    if (environment)
        seconds = strtod(environment, NULL);
    LLVMFuzzerInitialize(&argc, &argv);
    watch();
    int first = 1;
    for (; first + 1 < argc && !strncmp(argv[first], "--", 2); first += 2) {
        if (!strcmp(argv[first], "--seconds"))
            seconds = strtod(argv[first + 1], NULL);
        else if (!strcmp(argv[first], "--runs"))
            runs = strtoll(argv[first + 1], NULL, 10);
        else if (!strcmp(argv[first], "--seed"))
            random_state = strtoull(argv[first + 1], NULL, 10) * 2 + 1;
    }
    for (int i = first; i < argc; i++)
        if (run_file(argv[i]))
            return 1;
    if (first < argc)
        return 0;
    const double end = now() + seconds;
    for (; run < runs && (run % 16 || now() < end); run++) {
        make_input(run);
        run_input();
    }
    printf("%lld inputs from %d seeds\n", (long long)run, fuzz_seed_count);
    return run <= fuzz_seed_count; /* not even the seeds: too slow to be of use */
}
