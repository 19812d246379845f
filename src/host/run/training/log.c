#include "run/training/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"

enum { LINE = 1024 }; /* lines of a log are far shorter */

struct ts_log {
    char *path;
    FILE *file;
    double before; /* seconds of the lines kept */
};

static ts_status failed(const char *path)
{
    return ts_error(errno == ENOSPC || errno == EDQUOT ? TS_NO_SPACE : TS_IO, "%s: %s", path,
                    strerror(errno));
}

/* ---- an older log ---- */

static double seconds_of(const char *line, double otherwise)
{
    double seconds;
    const char *at = strstr(line, "\"seconds\": ");
    return at && sscanf(at, "\"seconds\": %lf", &seconds) == 1 && isfinite(seconds) ? seconds : otherwise;
}

/* Its first lines up to the first of a step behind keep_step, or that is none: their bytes, and the last
 * one's seconds. */
static void read_kept(FILE *file, int64_t keep_step, off_t *kept, double *seconds)
{
    char line[LINE];
    long long step;
    while (fgets(line, sizeof line, file)) {
        const size_t length = strlen(line);
        if (!length || line[length - 1] != '\n' || sscanf(line, "{\"step\": %lld,", &step) != 1 ||
            step > keep_step)
            return;
        *kept += (off_t)length;
        *seconds = seconds_of(line, *seconds);
    }
}

/* A run that died may have logged steps that its checkpoint does not know; they will come again. */
static ts_status trim(const char *path, int64_t keep_step, double *seconds)
{
    uint64_t bytes;
    int fd;
    off_t kept = 0;
    *seconds = 0;
    ts_status status = ts_file_open(path, &fd, &bytes);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    FILE *file = fdopen(fd, "r");
    if (!file) {
        status = failed(path);
        close(fd);
        return status;
    }
    if (keep_step > 0)
        read_kept(file, keep_step, &kept, seconds);
    if (ferror(file) || ((uint64_t)kept < bytes && truncate(path, kept)))
        status = failed(path);
    fclose(file);
    return status;
}

ts_status ts_log_last_star(const char *path, ts_start_kind start, double *T_star)
{
    char line[LINE], key[48];
    FILE *file = fopen(path, "re");
    *T_star = 0;
    if (!file)
        return errno == ENOENT ? NULL : failed(path);
    snprintf(key, sizeof key, "\"T_star_%s\": ", ts_start_kind_words.word[start]);
    while (fgets(line, sizeof line, file)) {
        const char *at = strstr(line, key);
        const double T = at ? strtod(at + strlen(key), NULL) : 0;
        if (T > 0 && T <= 1)
            *T_star = T;
    }
    ts_status status = ferror(file) ? failed(path) : NULL;
    fclose(file);
    return status;
}

/* ---- writing ---- */

ts_status ts_log_open(const char *path, int64_t keep_step, ts_log **log)
{
    double seconds;
    *log = NULL;
    TS_TRY(trim(path, keep_step, &seconds));
    ts_log *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path))) {
        free(l);
        return ts_error(TS_NO_MEMORY, "no memory for a log");
    }
    l->before = seconds;
    l->file = fopen(path, "ae");
    if (!l->file) {
        ts_status status = failed(path);
        ts_log_close(l);
        return status;
    }
    *log = l;
    return NULL;
}

/* JSON has no word for a number that is not finite. */
static void write_number(FILE *file, const char *key, int digits, double value)
{
    if (isfinite(value))
        fprintf(file, ", \"%s\": %.*g", key, digits, value);
    else
        fprintf(file, ", \"%s\": null", key);
}

static void write_star(FILE *file, const char *start, const ts_crossing_T *star)
{
    const struct {
        const char *end;
        double value;
    } numbers[] = {{"", star->T}, {"_low", star->low}, {"_high", star->high}};
    for (int i = 0; i < 3; i++) {
        char key[48];
        snprintf(key, sizeof key, "T_star_%s%s", start, numbers[i].end);
        write_number(file, key, 6, numbers[i].value);
    }
}

ts_status ts_log_write(ts_log *log, const ts_training_report *report, double images_per_second,
                       double seconds, const ts_crossing_T *stars, double T)
{
    fprintf(log->file, "{\"step\": %lld", (long long)report->step);
    write_number(log->file, "loss", 9, report->loss);
    write_number(log->file, "gradient_norm", 6, report->gradient_norm);
    write_number(log->file, "images_per_second", 6, images_per_second);
    write_number(log->file, "seconds", 6, log->before + seconds);
    for (int i = 0; stars && i < TS_CROSSING_COUNT; i++)
        write_star(log->file, ts_start_kind_words.word[ts_crossing_starts[i]], &stars[i]);
    if (T > 0)
        write_number(log->file, "T", 6, T);
    fputs("}\n", log->file);
    return fflush(log->file) || ferror(log->file) ? failed(log->path) : NULL;
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
