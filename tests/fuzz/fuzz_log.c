/* Logs that a training goes on with. */
#include "fuzz.h"

#include "run/training/log.h"

void fuzz_begin(void)
{
    fuzz_seed_text("");
    fuzz_seed_text(
        "{\"step\": 10, \"loss\": 0.5, \"gradient_norm\": 2, \"images_per_second\": 100, \"seconds\": 4}\n"
        "{\"step\": 20, \"loss\": null, \"gradient_norm\": 2, \"images_per_second\": 100, \"seconds\": 7.5}\n"
        "{\"step\": 30, \"lo");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_log *log;
    const char *path = fuzz_file("log.jsonl", data, size);
    for (int64_t keep = 0; keep < 40; keep += 13) {
        ts_status status = ts_log_open(path, keep, &log);
        if (!status) {
            fuzz_must(ts_log_write(log, &(ts_training_report){.step = keep + 1}, 1, 1, NULL, 0));
            ts_log_close(log);
        }
        fuzz_status(status);
    }
    return 0;
}
