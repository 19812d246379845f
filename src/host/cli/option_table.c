#include "cli/option_table.h"

#include <stdio.h>

static const char *const devices[] = {"auto", "cpu", "cuda"};
const ts_words cli_device_words = {sizeof devices / sizeof *devices, devices};

const cli_option_row cli_option_table[] = {
    {"T", "T[,T...]", OPTION_T, CLI_T, "diffusion time; several for fit, elbo and nll", NULL, false},
    {"start", "DENSITY[,...]", OPTION_START, CLI_START, "start density (mixture: of mixture data)",
     &ts_start_kind_words, false},
    {"count", "N", OPTION_COUNT, CLI_COUNT, "how many (also -n N)", NULL, false},
    {"sampler", "NAME", OPTION_SAMPLER, CLI_SAMPLER, "integrator of the reverse process",
     &ts_sampler_kind_words, false},
    {"nfe", "N", OPTION_NFE, CLI_BUDGET, "at most so many network evaluations a sample", NULL, false},
    {"seconds-per-image", "S", OPTION_SECONDS, CLI_BUDGET,
     "at most so many seconds an image, its start included", NULL, false},
    {"hours", "H", OPTION_HOURS, CLI_BUDGET, "at most so many hours for training, fit and all --images", NULL,
     false},
    {"images", "N", OPTION_IMAGES, CLI_BUDGET, "how many images are to be drawn", NULL, false},
    {"score", "NAME", OPTION_SCORE, CLI_SCORE, "score, hybrid: the start's own above T*",
     &ts_score_kind_words, false},
    {"hybrid-at", "T", OPTION_HYBRID_AT, CLI_SCORE, "T* of --score hybrid (default: the training's last)",
     NULL, false},
    {"measures", "M[,...]", OPTION_MEASURES, CLI_QUALITY, "what is measured", &ts_measure_kind_words, false},
    {"weights", "FILE", OPTION_WEIGHTS, CLI_QUALITY, "weights of the network whose features are compared",
     NULL, true},
    {"save-statistics", "FILE", OPTION_SAVE_STATISTICS, CLI_QUALITY,
     "keep the mean and covariance of A's features (.npz, as pytorch-fid)", NULL, true},
    {"steps", "N", OPTION_STEPS, CLI_STEPS, "steps to time", NULL, false},
    {"algorithms", "FILE", OPTION_ALGORITHMS, CLI_ALGORITHMS,
     "algorithms that the device chose: read if the file is there, written afterwards", NULL, true},
    {"recording-off", NULL, OPTION_RECORDING_OFF, CLI_RECORDING_OFF,
     "queue every kernel by itself: profilers then show phases and layers", NULL, false},
    {"in", "FILE", OPTION_IN, CLI_IN, "safetensors file with the inputs", NULL, true},
    {"out", "PATH", OPTION_OUT, CLI_OUT, "where the results go", NULL, true},
    {"force", NULL, OPTION_FORCE, CLI_FORCE, "replace what is there: a file, or a fit of other settings",
     NULL, false},
    {"resume", NULL, OPTION_RESUME, CLI_RESUME, "continue from the last checkpoint", NULL, false},
    {"raw-weights", NULL, OPTION_RAW, CLI_RAW, "the weights themselves, not their average", NULL, false},
    {"keys", NULL, OPTION_KEYS, CLI_KEYS, "list every key of a configuration", NULL, false},
    {"markdown", NULL, OPTION_MARKDOWN, CLI_MARKDOWN, "as a Markdown table", NULL, false},
    {"set", "KEY=VALUE", OPTION_SET, CLI_SET, "override a key of the configuration; repeatable", NULL, false},
    {"seed", "N", OPTION_SEED, CLI_SET, "the same as --set seed=N", NULL, false},
    {"device", "NAME", OPTION_DEVICE, CLI_DEVICE, "what computes, also cuda:INDEX (default: auto)",
     &cli_device_words, false},
    {"threads", "N", OPTION_THREADS, CLI_DEVICE, "CPU threads (default: as many as the work is worth)", NULL,
     false},
    {"workers", "N", OPTION_WORKERS, CLI_WORKERS,
     "parts done at once, which share the threads (default: as many as help)", NULL, false},
    {"fast", NULL, OPTION_FAST, CLI_DEVICE, "reduced precision where the device has it", NULL, false},
    {"json", NULL, OPTION_JSON, CLI_JSON, "print the result as JSON", NULL, false},
    {"help", NULL, OPTION_HELP, 0, "print this", NULL, false},
    {NULL, NULL, 0, 0, NULL, NULL, false},
};
_Static_assert(sizeof cli_option_table / sizeof *cli_option_table <= CLI_OPTION_LIMIT, "raise the limit");

bool cli_option_is_of(const cli_option_row *row, const cli_usage *usage)
{
    return !row->takes || (usage->takes & row->takes);
}

void cli_option_help(const cli_option_row *row, char *text, size_t size)
{
    char words[160] = "";
    if (row->words)
        ts_words_list(row->words, ", ", " or ", words, sizeof words);
    snprintf(text, size, "%s%s%s", row->help, row->words ? ": " : "", words);
}
