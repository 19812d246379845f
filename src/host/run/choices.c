#include "run/choices.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"

enum { LARGEST = 16 << 20 };

ts_status ts_choices_load(const ts_run *run)
{
    const ts_kernels *k = run->device->k;
    char *text = NULL;
    size_t bytes = 0;
    if (!run->dir || !k->choices_import)
        return NULL;
    char *path = ts_run_path(run, "choices.txt");
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = ts_file_read(path, LARGEST, &text, &bytes);
    free(path);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        return NULL;
    }
    if (!status)
        status = k->choices_import(run->device, text);
    free(text);
    return status;
}

ts_status ts_choices_save(const ts_run *run)
{
    const ts_kernels *k = run->device->k;
    char *text = NULL;
    if (!run->dir || !k->choices_export)
        return NULL;
    TS_TRY(k->choices_export(run->device, &text));
    char *path = ts_run_path(run, "choices.txt");
    ts_status status =
        path ? ts_file_write(path, text, strlen(text)) : ts_error(TS_NO_MEMORY, "no memory for a path");
    free(path);
    free(text);
    return status;
}
