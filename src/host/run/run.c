#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "run/checkpoint.h"
#include "run/algorithms.h"
#include "run/threads.h"

static ts_status path_in(const char *dir, const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return ts_error(TS_INVALID, "%s: the path is too long", dir);
    return NULL;
}

bool ts_run_exists(const char *dir)
{
    char path[PATH_MAX];
    struct stat info;
    ts_status status = path_in(dir, "config.yaml", path);
    if (status) {
        ts_status_free(status);
        return false;
    }
    return !stat(path, &info) && S_ISREG(info.st_mode);
}

/* ---- the lock ---- */

static ts_status lock(ts_run *run)
{
    char path[PATH_MAX];
    TS_TRY(path_in(run->dir, "lock", path));
    do
        run->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    while (run->lock < 0 && errno == EINTR);
    if (run->lock < 0)
        return ts_error(errno == ENOSPC ? TS_NO_SPACE : TS_IO, "%s: %s", path, strerror(errno));
    if (!flock(run->lock, LOCK_EX | LOCK_NB)) {
        ts_file_remove_leftovers(run->dir); /* a checkpoint half written when its process was killed */
        return NULL;
    }
    if (errno == EWOULDBLOCK)
        return ts_error(TS_BUSY,
                        "%s: another process is writing this run; wait for it, or use another directory",
                        run->dir);
    return ts_error(TS_IO, "%s: %s", path, strerror(errno));
}

/* ---- what a run stores about itself ---- */

static ts_status store_config(const ts_run *run)
{
    char path[PATH_MAX], *text;
    TS_TRY(path_in(run->dir, "config.yaml", path));
    TS_TRY(ts_config_print(run->config, NULL, &text));
    ts_status status = ts_file_write(path, text, strlen(text));
    free(text);
    return status;
}

static ts_status record_command(const ts_run *run, const char *command)
{
    char path[PATH_MAX];
    TS_TRY(path_in(run->dir, "command.txt", path));
    FILE *file = fopen(path, "a");
    if (!file)
        return ts_error(errno == ENOSPC ? TS_NO_SPACE : TS_IO, "%s: %s", path, strerror(errno));
    bool failed = fprintf(file, "%s # %s\n", command, run->device->description) < 0;
    failed |= fclose(file) != 0;
    return failed ? ts_error(errno == ENOSPC ? TS_NO_SPACE : TS_IO, "%s: %s", path, strerror(errno)) : NULL;
}

static ts_status claim_directory(ts_run *run, bool resume)
{
    TS_TRY(ts_file_make_folder(run->dir));
    TS_TRY(lock(run));
    char path[PATH_MAX];
    TS_TRY(path_in(run->dir, TS_CHECKPOINT_FILE, path));
    if (!resume && !access(path, F_OK))
        return ts_error(TS_INVALID, "%s: holds a run already; resume it, or use another directory", run->dir);
    return NULL;
}

/* ---- one run, one configuration ---- */

/* That `asked` leaves of the run's stored configuration what `use` demands. */
static ts_status check_same(const char *dir, const ts_config *stored, const ts_config *asked,
                            ts_config_use use)
{
    /* without a network, nothing that was trained is used */
    const char *const sections = ts_networks[asked->model.kind].create ? NULL : "run data sde train";
    ts_config_difference d;
    TS_TRY(ts_config_compare(stored, asked, use, sections, &d));
    return d.key ? ts_error(TS_INVALID,
                            "%s: this run has %s = %s, not %s, and cannot change it: make another run", dir,
                            d.key, d.a, d.b)
                 : NULL;
}

/* The same for what a run that goes on says in its config.yaml. */
static ts_status check_stored(const ts_run *run)
{
    char path[PATH_MAX];
    ts_config *stored;
    TS_TRY(path_in(run->dir, "config.yaml", path));
    if (!ts_run_exists(run->dir))
        return NULL;
    TS_TRY(ts_config_load(path, NULL, 0, &stored));
    ts_status status = check_same(run->dir, stored, run->config, TS_USE_WRITE);
    ts_config_free(stored);
    return status;
}

/* ---- opening ---- */

static ts_status open_data(ts_run *run, const ts_run_options *options)
{
    const ts_dataset_options reading = {.threads = options->device_options.threads,
                                        .progress = options->progress,
                                        .warn = options->on_data,
                                        .context = options->context};
    return ts_dataset_open(run->config, run->device, &reading, &run->dataset);
}

static ts_status open_parts(ts_run *run, const ts_run_options *options)
{
    run->device = options->borrowed_device;
    run->dataset = options->borrowed_dataset;
    if (!run->device) {
        TS_TRY(ts_device_open(options->device ? options->device : "auto", &options->device_options,
                              &run->device));
        run->owns_device = true;
        run->on_recording_error = options->on_recording_error;
        if (*run->device->fallback_reason && options->on_fallback)
            options->on_fallback(run->device->fallback_reason);
    }
    TS_TRY(ts_algorithms_load(run));
    if (!run->dataset) {
        TS_TRY(open_data(run, options));
        run->owns_dataset = true;
    }
    if (options->published)
        ts_model_forget_attention(run->config, run->dataset);
    if (!options->without_model)
        TS_TRY(ts_model_create(run->config, run->dataset, run->device, &run->model));
    return run->owns_device ? ts_threads_choose(run, options) : NULL;
}

static ts_status new_run(const char *dir, ts_config *config, ts_run **run)
{
    ts_run *r = calloc(1, sizeof *r);
    char *copy = dir ? strdup(dir) : NULL;
    if (!r || (dir && !copy)) {
        free(r);
        free(copy);
        ts_config_free(config);
        return ts_error(TS_NO_MEMORY, "no memory for a run");
    }
    *r = (ts_run){
        .dir = copy, .config = config, .stored = config, .reach = ts_config_largest_T(config), .lock = -1};
    *run = r;
    return NULL;
}

/* The directory is touched only once all that can be wrong with the request has been looked at. */
static ts_status create(ts_run *run, bool resume, const ts_run_options *options)
{
    TS_TRY(open_parts(run, options));
    if (!run->dir)
        return NULL;
    TS_TRY(claim_directory(run, resume));
    /* a configuration that does not fit what is there must not replace the one that does */
    if (run->model && run->model->params && ts_checkpoint_exists(run)) {
        TS_TRY(check_stored(run));
        TS_TRY(ts_checkpoint_check(run));
    }
    TS_TRY(store_config(run));
    return options->command ? record_command(run, options->command) : NULL;
}

ts_status ts_run_create(const char *dir, ts_config *config, bool resume, const ts_run_options *options,
                        ts_run **run)
{
    *run = NULL;
    ts_run *r;
    TS_TRY(new_run(dir, config, &r));
    ts_status status = create(r, resume, options);
    r->open = !status;
    if (status)
        ts_run_close(r);
    else
        *run = r;
    if (!status && r->owns_device && options->opened)
        options->opened(options->context, r);
    return status;
}

static ts_status open_existing(ts_run *run, bool write, const ts_run_options *options)
{
    if (write)
        TS_TRY(lock(run));
    TS_TRY(open_parts(run, options));
    return write && options->command ? record_command(run, options->command) : NULL;
}

/* The configuration in the folder, and with the overrides. */
static ts_status load_configs(const char *dir, const char *const *overrides, int count, bool write,
                              ts_config **stored, ts_config **config)
{
    char path[PATH_MAX];
    TS_TRY(path_in(dir, "config.yaml", path));
    if (!ts_run_exists(dir))
        return ts_error(TS_NOT_FOUND, "%s: not a run directory: there is no %s", dir, path);
    TS_TRY(ts_config_load(path, NULL, 0, stored));
    ts_status status = ts_config_load(path, overrides, count, config);
    if (!status)
        status = check_same(dir, *stored, *config, write ? TS_USE_WRITE : TS_USE_READ);
    if (!status)
        return NULL;
    ts_config_free(*stored);
    ts_config_free(*config);
    return status;
}

ts_status ts_run_open(const char *dir, const char *const *overrides, int count, bool write,
                      const ts_run_options *options, ts_run **run)
{
    *run = NULL;
    ts_config *stored, *config;
    ts_run *r;
    TS_TRY(load_configs(dir, overrides, count, write, &stored, &config));
    ts_status status = new_run(dir, config, &r);
    if (status) {
        ts_config_free(stored);
        return status;
    }
    r->stored = stored;
    status = open_existing(r, write, options);
    if (status)
        ts_run_close(r);
    else
        *run = r;
    if (!status && r->owns_device && options->opened)
        options->opened(options->context, r);
    return status;
}

void ts_run_close(ts_run *run)
{
    if (!run)
        return;
    if (run->open)
        ts_status_free(ts_algorithms_save(run)); /* a folder that cannot be written goes without */
    ts_model_destroy(run->model);
    if (run->owns_dataset)
        ts_dataset_close(run->dataset);
    if (run->owns_device && run->device && *run->device->recording_error && run->on_recording_error)
        run->on_recording_error(run->device->recording_error);
    if (run->owns_device)
        ts_device_close(run->device);
    if (run->stored != run->config)
        ts_config_free(run->stored);
    ts_config_free(run->config);
    if (run->lock >= 0)
        close(run->lock);
    free(run->dir);
    free(run);
}
