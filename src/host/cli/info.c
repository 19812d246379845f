/*
 * tstar info [--keys [--markdown]]
 */
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"

static const cli_usage usage = {.name = "info",
                                .arguments = "",
                                .about = "Prints the version and the devices at hand; with --keys every key "
                                         "of a configuration with its default,\n"
                                         "range and meaning.",
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

/* What opening `name` says: a description, or why there is none. */
static void describe(const char *name, const ts_device_options *options, char *text, size_t size,
                     bool *present)
{
    ts_device *device = NULL;
    ts_status status = ts_device_open(name, options, &device);
    *present = !status;
    snprintf(text, size, "%s", status ? ts_status_message(status) : device->description);
    ts_status_free(status);
    ts_device_close(device);
}

static ts_status info(const cli_options *o, ts_progress *progress)
{
    (void)progress;
    if (o->keys) {
        print_keys(o->markdown);
        return NULL;
    }
    const ts_device_options options = {.threads = o->threads};
    char cpu[256], cuda[256];
    bool has_cpu, has_cuda;
    describe("cpu", &options, cpu, sizeof cpu, &has_cpu);
    describe("cuda", &options, cuda, sizeof cuda, &has_cuda);
    if (o->json) {
        json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "version", TSTAR_VERSION, "cpu", cpu, "cuda", cuda,
                                 "cuda_available", has_cuda);
        cli_print_json(json);
    } else
        printf("tstar %s\ncpu   %s\ncuda  %s\n", TSTAR_VERSION, cpu, cuda);
    return NULL;
}

int cli_info(int argc, char **argv)
{
    return cli_command(&usage, argc, argv, info);
}
