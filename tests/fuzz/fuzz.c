#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"

fuzz_input *fuzz_seeds;
int fuzz_seed_count;

static char folder[64];

void fuzz_seed(const void *data, size_t size)
{
    fuzz_seeds = realloc(fuzz_seeds, ((size_t)fuzz_seed_count + 1) * sizeof *fuzz_seeds);
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    fuzz_seeds[fuzz_seed_count++] = (fuzz_input){copy, size};
}

void fuzz_seed_text(const char *text)
{
    fuzz_seed(text, strlen(text));
}

void fuzz_seed_file(const char *path)
{
    char *text;
    size_t bytes;
    fuzz_must(ts_file_read(path, (size_t)1 << 26, &text, &bytes));
    fuzz_seed(text, bytes);
    free(text);
}

void fuzz_status(ts_status status)
{
    if (!status)
        return;
    const char *message = ts_status_message(status);
    bool one_line = *message && strlen(message) <= 1000;
    for (const char *c = message; *c; c++)
        one_line &= (unsigned char)*c >= ' ';
    if (!one_line) {
        fprintf(stderr, "not one line: \"%s\"\n", message);
        abort();
    }
    ts_status_free(status);
}

void fuzz_must(ts_status status)
{
    if (!status)
        return;
    fprintf(stderr, "%s\n", ts_status_message(status));
    exit(1);
}

static void remove_folder(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command))
        fprintf(stderr, "%s failed\n", command);
}

const char *fuzz_folder(void)
{
    if (!*folder) {
        const bool shared = !access("/dev/shm", W_OK); /* in memory, and so faster */
        snprintf(folder, sizeof folder, "%s/tstar_fuzz.XXXXXX", shared ? "/dev/shm" : "/tmp");
        if (!mkdtemp(folder)) {
            perror(folder);
            exit(1);
        }
        atexit(remove_folder);
    }
    return folder;
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        exit(1);
    }
    return path;
}

/* libFuzzer's seeds are files: with TSTAR_FUZZ_SEEDS they are written there. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    fuzz_begin();
    const char *to = getenv("TSTAR_FUZZ_SEEDS");
    for (int i = 0; to && i < fuzz_seed_count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/seed_%d", to, i);
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(fuzz_seeds[i].data, 1, fuzz_seeds[i].size, file) != fuzz_seeds[i].size ||
            fclose(file)) {
            perror(path);
            exit(1);
        }
    }
    return 0;
}
