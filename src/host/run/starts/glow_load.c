/* A fitted Glow from its file. */
#include "run/starts/glow_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/decimal.h"
#include "run/checkpoint.h"
#include "run/starts/gaussian.h"
#include "run/state.h"

ts_status ts_glow_outside(const ts_run *run, const char *what, const ts_glow_times *times, double T)
{
    char T_text[32], text[TS_GLOW_TEXT], end[32];
    ts_T_text(T, T_text);
    ts_T_text(T < times->low ? times->high : times->low, end);
    ts_glow_text(times, text);
    return ts_error(TS_INVALID,
                    "%s: is for T from %s, and %s is not among them; tstar fit %s --start glow_all --set "
                    "sweep.T=[%s,%s] --force makes one that is",
                    what, text, T_text, run->dir, T < times->low ? T_text : end,
                    T < times->low ? end : T_text);
}

static ts_status read_whitening(const ts_run *run, ts_safetensors *file, ts_whitening **whitening)
{
    const int d = ts_data_dim(&run->dataset->train);
    const ts_sde sde = ts_config_sde(run->config);
    ts_data_gaussian *gaussian;
    if (ts_glow_stored_whitening(file) == TS_WHITEN_NONE)
        return NULL;
    TS_TRY(ts_gaussian_read(file, TS_GLOW_WHITENING, d, d, &gaussian));
    ts_status status = ts_whitening_create(run->device, gaussian, &sde, whitening);
    ts_data_gaussian_destroy(gaussian);
    return status;
}

/* The times that the file is for, which T must be among. */
static ts_status read_times(const ts_run *run, const ts_glow_kind *kind, const ts_safetensors *file, double T,
                            ts_glow_times *times)
{
    char T_text[TS_GLOW_TEXT], command[TS_GLOW_COMMAND];
    const char *path = ts_safetensors_path(file), *format = ts_safetensors_metadata(file, "format"),
               *stored_T = ts_safetensors_metadata(file, "T");
    *times = (ts_glow_times){0, T};
    if (kind->all)
        *times = (ts_glow_times){ts_state_real(file, "T_low"), ts_state_real(file, "T_high")};
    ts_glow_text(times, T_text);
    ts_glow_command(run, kind, T, command);
    const bool ordered = !kind->all || (times->low > 0 && times->low <= times->high && times->high <= 1);
    if (!format || strcmp(format, kind->format) || !stored_T || strcmp(stored_T, T_text) || !ordered)
        return ts_error(TS_FORMAT, "%s: not a Glow fitted at T = %s; fit again: %s", path,
                        kind->all ? "every one" : T_text, command);
    if (kind->all && !(T >= times->low && T <= times->high))
        return ts_glow_outside(run, path, times, T);
    return NULL;
}

static ts_status read_flow(const ts_run *run, const ts_glow_kind *kind, double T, ts_safetensors *file,
                           ts_fit *fit)
{
    ts_glow_times times;
    TS_TRY(read_times(run, kind, file, T, &times));
    TS_TRY(ts_checkpoint_same_config(run, file, TS_GLOW_SECTIONS));
    TS_TRY(read_whitening(run, file, &fit->whitening));
    TS_TRY(ts_glow_of_run(run, &times, fit->whitening, &fit->params, &fit->glow));
    return ts_context(ts_state_read_weights(file, fit->params, false), "a Glow of another shape");
}

static ts_status load_file(ts_run *run, const ts_glow_kind *kind, double T, int n, const char *path,
                           ts_fit *fit)
{
    ts_safetensors *file;
    char T_text[32], command[TS_GLOW_COMMAND];
    ts_T_text(T, T_text);
    ts_glow_command(run, kind, T, command);
    if (access(path, F_OK))
        return ts_error(TS_NOT_FOUND, "%s: no Glow fitted at %s%s yet: %s", path,
                        kind->all ? "all T" : "T = ", kind->all ? "" : T_text, command);
    const ts_data *data = &run->dataset->train;
    TS_TRY(ts_safetensors_open(path, &file));
    ts_status status = read_flow(run, kind, T, file, fit);
    ts_safetensors_close(file);
    TS_TRY(status);
    return ts_density_glow(run->device, fit->glow, fit->params, T, n, data->h, data->w, data->c,
                           &fit->density);
}

static ts_status load(ts_run *run, const ts_glow_kind *kind, double T, int n, ts_fit *fit)
{
    *fit = (ts_fit){0};
    if (!run->dir)
        return ts_error(TS_INVALID,
                        "a Glow is fitted in a run directory (tstar fit RUN --T ...); this is none");
    char *path = ts_glow_path(run, kind, T, "safetensors");
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = load_file(run, kind, T, n, path, fit);
    free(path);
    if (status)
        ts_fit_release(fit);
    return status;
}

ts_status ts_fit_load(ts_run *run, double T, int n, ts_fit *fit)
{
    return load(run, &ts_glow_at_T, T, n, fit);
}

ts_status ts_fit_load_all(ts_run *run, double T, int n, ts_fit *fit)
{
    return load(run, &ts_glow_all_T, T, n, fit);
}

void ts_fit_release(ts_fit *fit)
{
    ts_density_destroy(fit->density);
    ts_glow_destroy(fit->glow);
    ts_params_destroy(fit->params);
    ts_whitening_destroy(fit->whitening);
    *fit = (ts_fit){0};
}
