/* Configuration files. */
#include "fuzz.h"

#include <stdlib.h>
#include "config/config.h"

void fuzz_begin(void)
{
    fuzz_seed_file(SOURCE_DIR "/configs/digits.yaml");
    fuzz_seed_text(
        "data: {kind: mixture, mixture: {weights: [1, 1], means: [-1, 1], stds: [.3, .2], count: 64}}\n"
        "model: {kind: mlp, hidden: 8, blocks: 1}\nsweep:\n  T: [1, .5]\n  samples: 4\n");
    fuzz_seed_text("data:\n  kind: 'idx' # comment\n  path: \"a\\tb\"\nrun: &a\n  name: x\nseed: 3\n");
    fuzz_seed_text("model: {nf: 8, ch_mult: [1, 2], attention: [8]}\ntrain: |\n  text\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_config *config;
    char *text;
    ts_status status = ts_config_load(fuzz_file("config.yaml", data, size), NULL, 0, &config);
    if (status) {
        fuzz_status(status);
        return 0;
    }
    /* what is accepted prints as what is accepted */
    fuzz_must(ts_config_print(config, NULL, &text));
    ts_config_free(config);
    fuzz_must(ts_config_load(fuzz_file("printed.yaml", text, __builtin_strlen(text)), NULL, 0, &config));
    ts_config_free(config);
    free(text);
    return 0;
}
