/*
 * Progress on stderr, and interruption by signals.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/cli.h"

enum { BAR = 24, LEAST_BAR = 6, PHASE = 18, PIECES = 3, COLUMNS_UNKNOWN = 80 };
static const double worth_saying = 30; /* seconds */

static volatile sig_atomic_t stop_asked;

/* A terminal that closes may send SIGHUP twice, by kernel and shell; the work still ends in order. */
static void on_signal(int number)
{
    if (stop_asked && number != SIGHUP)
        _exit(130);
    stop_asked = 1;
}

/* ---- one line ---- */

/* Bytes of UTF-8 that begin no character take no column. */
static int width(const char *text)
{
    int columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* As much of `text` as has room in that many columns. */
static void cut(char *text, int columns)
{
    for (; *text; text++)
        if (((unsigned char)*text & 0xc0) != 0x80 && columns-- <= 0)
            break;
    *text = '\0';
}

/* "[====>    ] "; "" where that has no room. */
static void draw_bar(double share, int length, char bar[BAR + 4])
{
    const int full = (int)(length * (share < 1 ? share : 1));
    *bar = '\0';
    if (length < LEAST_BAR)
        return;
    bar[0] = '[';
    for (int i = 0; i < length; i++)
        bar[1 + i] = i < full ? '=' : i == full ? '>' : ' ';
    memcpy(bar + 1 + length, "] ", 3);
}

void cli_progress_text(const cli_progress_line *line, int columns, char *text, size_t size)
{
    const int room = columns - 1; /* a character in the last column makes some terminals wrap */
    const char *gap = *line->note ? "  " : "";
    char bar[BAR + 4], phase[80], rest[192], end[160];
    snprintf(end, sizeof end, "%3.0f%%, %s%s%s", 100 * line->share, line->left, gap, line->note);
    snprintf(rest, sizeof rest, "%3.0f%%%s, %s%s%s", 100 * line->share, line->rate, line->left, gap,
             line->note);
    snprintf(phase, sizeof phase, "%s ", line->phase);
    for (int i = width(phase); i <= PHASE; i++)
        strcat(phase, " ");
    const int bar_room = room - width(phase) - width(rest) - 3;
    draw_bar(line->share, bar_room < BAR ? bar_room : BAR, bar);
    if (!*bar) { /* no padding where there is no bar */
        snprintf(phase, sizeof phase, "%s ", line->phase);
        if (width(phase) + width(rest) > room)
            memcpy(rest, end, sizeof end);
        if (width(phase) + width(rest) > room) {
            const int left = room - width(rest) - 1;
            cut(phase, left > 0 ? left : 0);
            if (*phase)
                strcat(phase, " ");
        }
    }
    if (!*phase && width(rest) > room && *line->note) { /* the last thing to stay, of it what comes first */
        char *comma;
        snprintf(rest, sizeof rest, "%s", line->note);
        while (width(rest) > room && (comma = strrchr(rest, ',')))
            *comma = 0;
    }
    snprintf(text, size, "%s%s%s", phase, bar, rest);
    cut(text, room > 0 ? room : 0);
}

/* Asked for each line, as the window may have changed since the last one. */
static int terminal_columns(void)
{
    struct winsize window = {0};
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &window) && window.ws_col ? window.ws_col : COLUMNS_UNKNOWN;
}

/* ---- a phase ---- */

static void end_line(cli_progress *p)
{
    if (p->open)
        fputc('\n', stderr);
    p->open = false;
}

static void show(cli_progress *p, double done, double total, const char *note, double time)
{
    const double elapsed = time - p->began;
    const double rate = elapsed > 0.2 ? (done - p->first) / elapsed : 0;
    const bool over = done >= total;
    char span[32], left[48], speed[64] = "", text[512];
    ts_duration_text(!over && rate > 0 ? (total - done) / rate : elapsed, span);
    snprintf(left, sizeof left, "%s %s", over ? "took" : "left", !over && rate <= 0 ? "?" : span);
    if (rate > 0)
        snprintf(speed, sizeof speed, ", %.3g %s/s", rate, p->unit);
    if (p->terminal) {
        const cli_progress_line line = {.phase = p->phase,
                                        .rate = speed,
                                        .left = left,
                                        .note = note ? note : "",
                                        .share = total > 0 ? done / total : 0};
        cli_progress_text(&line, terminal_columns(), text, sizeof text);
        fprintf(stderr, "\r\033[K%s", text);
    } else if (done <= 0 && note && *note)
        fprintf(stderr, "%s: %s\n", p->phase, note);
    else
        fprintf(stderr, "%s: %.0f of %.0f %s%s, %s%s%s\n", p->phase, done, total, p->unit, speed, left,
                note && *note ? ", " : "", note ? note : "");
    p->open = p->terminal;
    if (over)
        end_line(p);
    p->shown = time;
}

void cli_say(cli_progress *p, const char *text)
{
    if (p->open)
        fputs("\r\033[K", stderr);
    p->open = false;
    fprintf(stderr, "tstar: %s\n", text);
}

ts_status cli_say_score(cli_progress *p, ts_run *run, ts_start_kind start)
{
    char text[128];
    double T;
    ts_open_score open;
    if (!ts_score_is_by_start(run))
        return NULL;
    TS_TRY(ts_score_open(run, start, 1, &open)); /* what cannot be is not to be said */
    ts_score_close(&open);
    TS_TRY(ts_score_T_star(run, start, &T));
    snprintf(text, sizeof text, "score of %s itself above T* = %g, the run's below",
             ts_start_kind_words.word[start], T);
    cli_say(p, text);
    return NULL;
}

void cli_say_estimate(cli_progress *p, const ts_cost *parts, int count)
{
    char text[1024];
    ts_estimate_text(parts, count, text, sizeof text);
    cli_say(p, text);
}

/* After the first pieces, of which the very first may make things ready, the others have a length. */
static void estimate(cli_progress *p, const char *phase, double done, double total, double time)
{
    if (!p->timed_at) {
        if (done > p->first) {
            p->timed_at = time;
            p->timed_from = done;
        }
        return;
    }
    if (done - p->timed_from < PIECES && time - p->timed_at < worth_saying)
        return;
    const double each = (time - p->timed_at) / (done - p->timed_from);
    const ts_cost all = {phase, each * (total - p->first), (double)p->run->device->peak_bytes};
    p->run = NULL;
    if (all.seconds >= worth_saying)
        cli_say_estimate(p, &all, 1);
}

static void say_threads(cli_progress *p)
{
    char text[160];
    const double flops = p->run->pass_flops;
    const bool small = flops < 1e8;
    p->threads_said = true;
    if (!p->run->threads_at_hand)
        return;
    snprintf(text, sizeof text,
             "%d of %d threads: a pass of %.2g %s is not worth more (--threads N decides otherwise)",
             p->run->device->threads, p->run->threads_at_hand, flops * (small ? 1e-6 : 1e-9),
             small ? "MFLOP" : "GFLOP");
    cli_say(p, text);
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
        p->timed_at = 0;
    }
    if (p->run && !p->threads_said)
        say_threads(p);
    if (p->run)
        estimate(p, phase, done, total, time);
    const bool says = note && *note;
    if (done >= total || time - p->shown >= (p->terminal ? 0.1 : 5.0) || (fresh && (p->terminal || says)))
        show(p, done, total, note, time);
}

void cli_watch(ts_progress *progress, const ts_run *run)
{
    cli_progress *p = (cli_progress *)progress;
    p->run = run;
    p->threads_said = false;
}

/* ---- signals ---- */

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
enum { CAUGHT = sizeof caught / sizeof *caught };

static void handle(void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler};
    for (int i = 0; i < CAUGHT; i++) {
        struct sigaction before;
        /* under nohup a terminal that closes ends nothing */
        if (caught[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) || before.sa_handler != SIG_IGN)
            sigaction(caught[i], &action, NULL);
    }
}

void cli_progress_begin(cli_progress *progress)
{
    *progress =
        (cli_progress){.base = {.update = update, .stop = &stop_asked}, .terminal = isatty(STDERR_FILENO)};
    stop_asked = 0;
    handle(on_signal);
}

void cli_progress_end(cli_progress *progress)
{
    end_line(progress);
    handle(SIG_DFL);
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
