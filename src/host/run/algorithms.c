/* What a device chose by timing, kept in files. */
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "run/algorithms.h"

enum { LARGEST = 16 << 20 };

static ts_status read_file(ts_device *device, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    if (!device->k->algorithms_import)
        return NULL;
    ts_status status = ts_file_read(path, LARGEST, &text, &bytes);
    if (ts_status_code(status) == TS_NOT_FOUND || ts_status_code(status) == TS_FORMAT) {
        ts_status_free(status); /* algorithms are not worth failing for: they are made anew */
        return NULL;
    }
    if (!status)
        status = device->k->algorithms_import(device, text);
    free(text);
    return status;
}

ts_status ts_algorithms_write(ts_device *device, const char *path)
{
    char *text = NULL;
    if (!device->k->algorithms_export)
        return NULL;
    TS_TRY(read_file(device, path));
    TS_TRY(device->k->algorithms_export(device, &text));
    ts_status status = ts_file_write(path, text, strlen(text));
    free(text);
    return status;
}

void ts_algorithms_announce(const ts_device *device, ts_progress *progress)
{
    if (device->k->algorithms_export)
        ts_progress_report(progress, "first step", 0, 1, "steps",
                           "choosing algorithms for this card (once per shape, kept with the run)");
}

static ts_status with_file(const ts_run *run, ts_status (*act)(ts_device *device, const char *path))
{
    if (!run->dir)
        return NULL;
    char *path = ts_run_path(run, "choices.txt");
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = act(run->device, path);
    free(path);
    return status;
}

ts_status ts_algorithms_load(const ts_run *run)
{
    return with_file(run, read_file);
}

ts_status ts_algorithms_save(const ts_run *run)
{
    return with_file(run, ts_algorithms_write);
}
