/*
 * Progress on stderr, and interruption by signals.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/cli.h"

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    if (stop_asked)
        _exit(130);
    stop_asked = 1;
}

static void duration(double seconds, char text[24])
{
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 24, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 24, "%ld:%02ld", s / 60, s % 60);
}

static void draw_bar(double share, char bar[32])
{
    const int full = (int)(24.0 * share);
    for (int i = 0; i < 24; i++)
        bar[i] = i < full ? '=' : i == full ? '>' : ' ';
    bar[24] = '\0';
}

static void end_line(cli_progress *p)
{
    if (p->open)
        fputc('\n', stderr);
    p->open = false;
}

static void show(cli_progress *p, double done, double total, const char *note, double time)
{
    const double share = total > 0 ? done / total : 0, elapsed = time - p->began;
    const double rate = elapsed > 0.2 ? (done - p->first) / elapsed : 0;
    char left[24] = "", bar[32], speed[48] = "";
    if (done < total && rate > 0)
        duration((total - done) / rate, left);
    else
        duration(elapsed, left);
    if (rate > 0)
        snprintf(speed, sizeof speed, ", %.3g %s/s", rate, p->unit);
    draw_bar(share, bar);
    if (!p->terminal && done <= 0 && note)
        fprintf(stderr, "%s: %s\n", p->phase, note);
    else if (p->terminal)
        fprintf(stderr, "\r\033[K%-18s [%s] %3.0f%%%s, %s %s%s%s", p->phase, bar, 100 * share, speed,
                done < total ? "left" : "took", left, note ? "  " : "", note ? note : "");
    else
        fprintf(stderr, "%s: %.0f of %.0f %s%s, %s %s%s%s\n", p->phase, done, total, p->unit, speed,
                done < total ? "left" : "took", left, note ? ", " : "", note ? note : "");
    p->open = p->terminal;
    if (done >= total)
        end_line(p);
    p->shown = time;
}

static void update(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                   const char *note)
{
    cli_progress *p = (cli_progress *)progress;
    const double time = ts_seconds();
    const bool fresh = strcmp(p->phase, phase) != 0;
    if (fresh) {
        end_line(p);
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        snprintf(p->unit, sizeof p->unit, "%s", unit ? unit : "");
        p->began = p->shown = time;
        p->first = done;
    }
    const bool says = note && *note;
    if (done >= total || time - p->shown >= (p->terminal ? 0.1 : 5.0) || (fresh && (p->terminal || says)))
        show(p, done, total, note, time);
}

void cli_progress_begin(cli_progress *progress)
{
    *progress =
        (cli_progress){.base = {.update = update, .stop = &stop_asked}, .terminal = isatty(STDERR_FILENO)};
    const struct sigaction action = {.sa_handler = on_signal};
    stop_asked = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void cli_progress_end(cli_progress *progress)
{
    end_line(progress);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

int cli_command(const cli_usage *usage, int argc, char **argv, cli_body *body)
{
    cli_options options;
    cli_progress progress;
    const int status = cli_parse(usage, argc, argv, &options);
    if (status >= 0)
        return status;
    cli_progress_begin(&progress);
    ts_status result = body(&options, &progress.base);
    cli_progress_end(&progress);
    cli_options_free(&options);
    return cli_finish(result);
}
