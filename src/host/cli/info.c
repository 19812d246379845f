/*
 * tstar info [--keys [--markdown]]
 */
#include <stdio.h>
#include <jpeglib.h>
#include <png.h>
#include <string.h>
#include <yaml.h>
#include <zip.h>
#include <zlib.h>
#include "cli/cli.h"
#include "diffusion/samplers/sampler.h"

const cli_usage cli_info_usage = {
    .name = "info",
    .arguments = "",
    .about =
        "Prints the version, the devices at hand, or why they cannot be used, the libraries, and what the steps\n"
        "of each sampler cost; with --keys every key of a configuration with its kind, default, range, meaning,\n"
        "and whether a trained run may change it: free, free to read (sample and elbo may, train --resume and fit\n"
        "not), fixed.",
    .least = 0,
    .most = 0,
    .takes = CLI_DEVICE | CLI_JSON | CLI_KEYS | CLI_MARKDOWN};

static void print_key(void *context, const char *section, const char *key, const char *kind,
                      const char *fallback, const char *range, const char *change, const char *help)
{
    const bool markdown = *(const bool *)context;
    char name[96];
    snprintf(name, sizeof name, "%s%s%s", section, *section ? "." : "", key);
    if (markdown)
        printf("| `%s` | %s | %s | %s | %s | %s |\n", name, kind, *fallback ? fallback : " ",
               *range ? range : " ", change, help);
    else
        printf("%-28s %-7s %-20s %-28s %-12s %s\n", name, kind, *fallback ? fallback : "-",
               *range ? range : "-", change, help);
}

static void print_keys(bool markdown)
{
    if (markdown)
        puts("| key | kind | default | range | in a trained run | meaning |\n|---|---|---|---|---|---|");
    ts_config_visit(print_key, &markdown);
}

/* A device as a user meets it. */
typedef struct found {
    bool present;
    char what[320];      /* its description, or why it cannot be used */
    char libraries[256]; /* "" where they cannot be asked */
} found;

static found look(const char *name, const ts_device_options *options)
{
    found f = {.libraries = ""};
    ts_device *device = NULL;
    ts_status status = ts_device_open(name, options, &device), none;
    f.present = !status;
    const char *message = status ? ts_status_message(status) : device->description;
    const char *colon = status ? strstr(message, ": ") : NULL; /* after "--device NAME" */
    snprintf(f.what, sizeof f.what, "%s%s", status ? "not usable: " : "", colon ? colon + 2 : message);
    ts_status_free(status);
    ts_device_close(device);
    none = ts_device_libraries(name, f.libraries, sizeof f.libraries);
    if (none)
        *f.libraries = '\0';
    ts_status_free(none);
    return f;
}

static void print_device(const char *name, const found *f)
{
    printf("%-9s  %s\n", name, f->what);
    if (*f->libraries)
        printf("%-9s  %s\n", "", f->libraries);
}

/* What N steps of each cost. */
static void print_samplers(void)
{
    printf("%-9s  network evaluations of N steps, one more with sample.denoise:\n", "samplers");
    for (int kind = 0; kind < TS_SAMPLER_COUNT; kind++) {
        char cost[64];
        ts_sampler_nfe_text((ts_sampler_kind)kind, cost);
        printf("%-9s  %-9s %s\n", "", ts_sampler_kind_words.word[kind], cost);
    }
}

static ts_status info(const cli_options *o, ts_progress *progress)
{
    (void)progress;
    if (o->keys) {
        print_keys(o->markdown);
        return NULL;
    }
    const ts_device_options options = {.threads = o->threads};
    const found cpu = look("cpu", &options), cuda = look("cuda", &options);
    char others[160];
    snprintf(others, sizeof others, "libyaml %s, jansson %s, zlib %s, libpng %s, libzip %s, libjpeg %d",
             yaml_get_version_string(), jansson_version_str(), zlibVersion(), png_get_libpng_ver(NULL),
             zip_libzip_version(), JPEG_LIB_VERSION);
    if (o->json) {
        cli_print_json(json_pack("{s:s, s:s, s:s, s:b, s:{s:s, s:s?, s:s}}", "version", TSTAR_VERSION, "cpu",
                                 cpu.what, "cuda", cuda.what, "cuda_available", cuda.present, "libraries",
                                 "cpu", cpu.libraries, "cuda", *cuda.libraries ? cuda.libraries : NULL,
                                 "others", others));
        return NULL;
    }
    printf("tstar %s\n", TSTAR_VERSION);
    print_device("cpu", &cpu);
    print_device("cuda", &cuda);
    printf("%-9s  %s\n", "libraries", others);
    print_samplers();
    return NULL;
}

int cli_info(int argc, char **argv)
{
    return cli_command(&cli_info_usage, argc, argv, info);
}
