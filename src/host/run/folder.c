#include "run/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"

char *ts_run_path(const ts_run *run, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", run->dir, name) < 0 ? NULL : path;
}

ts_status ts_run_spare(const ts_run *run, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!run->dir || access(path, F_OK))
        return NULL;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    const bool own = ts_file_same(folder, run->dir);
    free(folder);
    return own ? ts_error(TS_INVALID,
                          "%s: is there, and files in a run's folder are the run's own; write to another",
                          path)
               : NULL;
}
