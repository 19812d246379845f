#include "run/folder.h"

#include <stdio.h>

char *ts_run_path(const ts_run *run, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", run->dir, name) < 0 ? NULL : path;
}
