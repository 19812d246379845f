/*
 * The line of progress in terminals of several widths: test_terminal PROGRAM.  It must never be as wide as
 * the terminal, which would wrap it, must keep the loss, and must follow the window when that changes.
 */
#include <fcntl.h>
#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_FOLDER "terminal_run"
static const char config[] =
    "name: terminal\n"
    "data: {kind: mixture, mixture: {weights: [1], means: [0], stds: [1], count: 64}}\n"
    "model: {kind: mlp, hidden: 16, blocks: 1}\n"
    "train: {steps: %d, batch: 16, warmup: 2, log_every: 100, checkpoint_every: 100000, "
    "eval_every: 1000000}\n";

static int failures;

static void fail(int columns, const char *what, const char *line)
{
    failures++;
    printf("FAILED: %d columns: %s: [%s]\n", columns, what, line);
}

static void write_config(int steps)
{
    FILE *out = fopen("terminal.yaml", "w");
    if (!out || fprintf(out, config, steps) < 0 || fclose(out))
        exit(1);
}

/* Without the sequences that steer the terminal; the program writes but "ESC [ K". */
static void strip(char *line)
{
    char *to = line;
    for (const char *from = line; *from; from++)
        if (!strncmp(from, "\033[K", 3))
            from += 2;
        else
            *to++ = *from;
    *to = '\0';
}

typedef struct seen {
    int columns, lines, with_loss, with_bar, too_wide;
    char last[512], wide[512];
} seen;

static void look(seen *s, char *line)
{
    strip(line);
    if (!strstr(line, "train") && !strstr(line, "loss"))
        return;
    s->lines++;
    s->with_loss += strstr(line, "loss ") != NULL;
    s->with_bar += strchr(line, '[') != NULL;
    if ((int)strlen(line) > s->columns - 1 && !s->too_wide++)
        snprintf(s->wide, sizeof s->wide, "%s", line);
    snprintf(s->last, sizeof s->last, "%s", line);
}

/* Runs a training in a terminal; with `later` it gets that many columns after the first lines. */
static seen run(const char *program, int columns, int later)
{
    const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    seen s = {.columns = columns};
    int master, status = -1;
    if (system("rm -rf " RUN_FOLDER))
        exit(1);
    const pid_t child = forkpty(&master, NULL, NULL, &size);
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO); /* the line is on stderr */
        execl(program, "tstar", "train", "terminal.yaml", "--threads", "1", "--out", RUN_FOLDER,
              (char *)NULL);
        _exit(127);
    }
    FILE *in = child > 0 ? fdopen(master, "r") : NULL;
    if (!in)
        exit(1);
    char line[512];
    size_t length = 0;
    bool settled = true; /* lines may have been on their way when the window changed */
    for (int c; (c = fgetc(in)) != EOF;) {
        if (c != '\r' && c != '\n') {
            if (length + 1 < sizeof line)
                line[length++] = (char)c;
            continue;
        }
        line[length] = '\0';
        length = 0;
        settled = settled || (*line && (int)strlen(line) < s.columns);
        if (settled)
            look(&s, line);
        if (later && s.lines >= 3) {
            const struct winsize smaller = {.ws_row = 24, .ws_col = (unsigned short)later};
            ioctl(master, TIOCSWINSZ, &smaller);
            s = (seen){.columns = later};
            settled = false;
            later = 0;
        }
    }
    fclose(in);
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail(columns, "the program did not end well", s.last);
    return s;
}

static void check(const seen *s)
{
    const bool wide = s->columns >= 80, narrow = s->columns <= 40;
    if (s->lines < 3)
        fail(s->columns, "too few lines to judge", s->last);
    if (s->too_wide)
        fail(s->columns, "a line that wraps", s->wide);
    if (!strstr(s->last, "loss ") || s->with_loss * 2 < s->lines)
        fail(s->columns, "the loss is not kept", s->last);
    if (wide ? !s->with_bar : narrow && s->with_bar)
        fail(s->columns, wide ? "no bar" : "a bar that has no room", s->last);
    printf("%3d columns: %s\n", s->columns, s->last);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* As many steps as take about two seconds: the line is drawn some times a second at most. */
static int steps_of_two_seconds(const char *program)
{
    const int first = 3000;
    write_config(first);
    const double began = seconds_now();
    run(program, 80, 0);
    const double steps = first * 2 / (seconds_now() - began);
    return steps > first ? (int)steps : first;
}

int main(int argc, char **argv)
{
    static const int widths[] = {20, 40, 60, 80, 120};
    if (argc != 2)
        return 1;
    write_config(steps_of_two_seconds(argv[1]));
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const seen s = run(argv[1], widths[i], 0);
        check(&s);
    }
    const seen s = run(argv[1], 120, 60);
    check(&s);
    return failures > 0;
}
