#include "run/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"

enum { LARGEST_LOG = 1 << 28 };

struct ts_log {
    char *path;
    FILE *file;
};

/* How much of an older log to keep: whole lines, up to the first of a step behind keep_step. */
static size_t kept_length(const char *text, int64_t keep_step)
{
    const char *line = text;
    long long step;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1)
        if (sscanf(line, "{\"step\": %lld,", &step) != 1 || step > keep_step)
            break;
    return (size_t)(line - text);
}

/* A run that died may have logged steps that its checkpoint does not know; they will come again. */
static ts_status trim(const char *path, int64_t keep_step)
{
    char *text;
    size_t length;
    if (keep_step <= 0 || access(path, F_OK))
        return ts_file_write(path, "", 0);
    TS_TRY(ts_file_read(path, LARGEST_LOG, &text, &length));
    ts_status status = ts_file_write(path, text, kept_length(text, keep_step));
    free(text);
    return status;
}

static ts_status failed(const char *path)
{
    return ts_error(errno == ENOSPC || errno == EDQUOT ? TS_NO_SPACE : TS_IO, "%s: %s", path,
                    strerror(errno));
}

ts_status ts_log_open(const char *path, int64_t keep_step, ts_log **log)
{
    *log = NULL;
    TS_TRY(trim(path, keep_step));
    ts_log *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path))) {
        free(l);
        return ts_error(TS_NO_MEMORY, "no memory for a log");
    }
    l->file = fopen(path, "ae");
    if (!l->file) {
        ts_status status = failed(path);
        ts_log_close(l);
        return status;
    }
    *log = l;
    return NULL;
}

ts_status ts_log_write(ts_log *log, const ts_training_report *report, double images_per_second,
                       double seconds)
{
    if (fprintf(log->file,
                "{\"step\": %lld, \"loss\": %.9g, \"gradient_norm\": %.6g, \"images_per_second\": %.6g, "
                "\"seconds\": %.6g}\n",
                (long long)report->step, report->loss, report->gradient_norm, images_per_second,
                seconds) < 0 ||
        fflush(log->file))
        return failed(log->path);
    return NULL;
}

void ts_log_close(ts_log *log)
{
    if (!log)
        return;
    if (log->file)
        fclose(log->file);
    free(log->path);
    free(log);
}
