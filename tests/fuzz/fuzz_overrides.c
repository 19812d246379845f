/* --set KEY=VALUE, one a line. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "config/config.h"

enum { MOST = 16 };

void fuzz_begin(void)
{
    fuzz_seed_text("train.steps=1000\nseed=3");
    fuzz_seed_text(
        "data={kind: mixture, mixture: {weights: [1, 1], means: [[-1, 0], [1, 2]], stds: [.3, .2]}}\n"
        "sweep.T=[1, .5]");
    fuzz_seed_text("sweep.T=1,0.5\nsweep.T=0.4");
    fuzz_seed_text("model.ch_mult=[1, 2]\nsde.kind=subvp\nsample.denoise=true\nrun.name='a b'");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *overrides[MOST];
    int count = 0;
    ts_config *config = NULL;
    char *text = malloc(size + 1), *rest = text;
    memcpy(text, data, size);
    text[size] = 0;
    for (char *line; count < MOST && (line = strsep(&rest, "\n"));)
        overrides[count++] = line;
    ts_status status = ts_config_load(NULL, overrides, count, &config);
    if (!status)
        ts_config_free(config);
    fuzz_status(status);
    free(text);
    return 0;
}
