#include "report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *const ts_gnuplot_drawn[] = {".svg", ".pdf", "-latex.tex", "-latex.pdf", NULL};

/* pixels of an SVG to an inch of paper */
#define PIXELS_PER_INCH 132.0

void ts_gnuplot_preamble(FILE *script, const char *name, int width, int height)
{
    const double w = width / PIXELS_PER_INCH, h = height / PIXELS_PER_INCH;
    fprintf(
        script,
        "# Redraw with:  gnuplot -e \"format='pdf'\" %s.gp   (or 'svg', or 'tex' for \\input in LaTeX)\n"
        "if (!exists('format')) format = 'svg'\n"
        "tex = format eq 'tex'\n"
        "small = format eq 'svg' ? \"',11.5'\" : format eq 'pdf' ? \"',7.5'\" : \"',8'\"\n"
        "if (format eq 'svg') {\n"
        "  set terminal svg size %d,%d dynamic enhanced font 'Helvetica,15' background 'white' name '%s'\n"
        "}\n"
        "if (format eq 'pdf') {\n"
        "  set terminal pdfcairo size %.2fin,%.2fin enhanced font 'Helvetica,10' linewidth 0.8\n"
        "}\n"
        "if (tex) {\n"
        "  set terminal cairolatex pdf input colortext size %.2fin,%.2fin font ',10' linewidth 0.8\n"
        "}\n"
        "set output tex ? '%s-latex.tex' : '%s.' . format\n"
        "set encoding utf8\n"
        "set datafile missing 'NaN'\n"
        "set border 3 linecolor '#444444'\n"
        "set tics nomirror out textcolor '#222222'\n"
        "set grid linetype 1 linewidth 0.6 linecolor '#E4E4E4'\n"
        "set key noopaque Left reverse samplen 2.2 spacing 1.15\n"
        "set bars 0.6\n\n",
        name, width, height, name, w, h, w, h, name, name);
}

/* ---- texts ---- */

/* In single quotes gnuplot knows no escapes, no substitution, and only '' for the quote. */
static void put_enhanced(FILE *script, const char *text)
{
    putc('\'', script);
    for (; *text; text++) {
        if (*text == '\'')
            putc('\'', script);
        putc(*text == '\n' ? ' ' : *text, script);
    }
    putc('\'', script);
}

#define LATEX_SPECIAL "%&#_$"

static void put_latex(FILE *script, const char *text)
{
    static const char italic[] = "{/:Italic ";
    int depth = 0; /* of braces, inside italics */
    putc('\'', script);
    for (; *text; text++) {
        if (depth == 0 && !strncmp(text, italic, sizeof italic - 1)) {
            putc('$', script);
            text += sizeof italic - 2;
            depth = 1;
            continue;
        }
        if (depth > 0 && *text == '}' && --depth == 0) {
            putc('$', script);
            continue;
        }
        if (depth > 0 && *text == '{')
            depth++;
        if (depth == 0 && strchr(LATEX_SPECIAL, *text))
            putc('\\', script);
        if (*text == '\'')
            putc('\'', script);
        putc(*text == '\n' ? ' ' : *text, script);
    }
    putc('\'', script);
}

void ts_gnuplot_text(FILE *script, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!strpbrk(text, LATEX_SPECIAL "{")) { /* the same for both */
        put_enhanced(script, text);
        return;
    }
    fputs("(tex ? ", script);
    put_latex(script, text);
    fputs(" : ", script);
    put_enhanced(script, text);
    putc(')', script);
}

void ts_gnuplot_x_label(FILE *script, const char *text)
{
    fputs("set xlabel ", script);
    ts_gnuplot_text(script, "%s", text);
    fputs(" offset 0,0.3\n", script);
}

void ts_gnuplot_y_label(FILE *script, const char *text, double at)
{
    fputs("set label 99 ", script);
    ts_gnuplot_text(script, "%s", text);
    fprintf(script, " at screen %.3f, graph 0.5 center rotate by 90\n", at);
}

/* ---- axes ---- */

void ts_gnuplot_powers(FILE *script, char axis)
{
    fprintf(script, "set format %c (tex ? '$10^{%%L}$' : '10^{%%L}')\n", axis);
}

/* labelled, of an axis */
enum { MOST_DECADES = 8 };

void ts_gnuplot_log_tics(FILE *script, char axis, double low, double high)
{
    const int first = (int)floor(log10(low)), last = (int)ceil(log10(high));
    const int stride = 1 + (last - first) / MOST_DECADES;
    const char *separator = "";
    fprintf(script, "set %ctics (", axis);
    for (int power = first; power <= last; power += stride)
        for (int k = 0; k < (high / low < 200 ? 3 : 1); k++) {
            const double value = (k == 0 ? 1 : k == 1 ? 2 : 5) * pow(10, power);
            if (value < low || value > high)
                continue;
            fprintf(script, "%s'%g' %g", separator, value, value);
            separator = ", ";
        }
    fputs(")\n", script);
}

/* ---- data ---- */

void ts_gnuplot_block(FILE *data, const char *name, const char *columns)
{
    /* gnuplot finds a block, which two empty lines separate from others, by the comment right before it */
    fprintf(data, "\n\n# columns: %s\n# %s\n", columns, name);
}

void ts_gnuplot_value(FILE *data, double value)
{
    if (isfinite(value))
        fprintf(data, "%.10g ", value);
    else
        fputs("NaN ", data);
}

void ts_gnuplot_line_end(FILE *data)
{
    putc('\n', data);
}

/* ---- running ---- */

/* The last line that gnuplot wrote, which names the script's line and what is wrong with it. */
static ts_status failure(const char *folder, FILE *messages)
{
    char line[256], last[256] = "it said nothing";
    rewind(messages);
    while (fgets(line, sizeof line, messages)) {
        line[strcspn(line, "\n")] = 0;
        if (line[strspn(line, " \t")])
            strcpy(last, line);
    }
    return ts_error(TS_IO, "%s: gnuplot failed: %s", folder, last);
}

/* Starts and awaits one gnuplot; no settings of the user's or of the folder's. */
static ts_status run(const char *folder, char **arguments, FILE *messages, bool *found)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(messages), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(messages), STDERR_FILENO);
    pid_t child;
    const int error = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    *found = error != ENOENT;
    if (error == ENOENT)
        return NULL;
    if (error)
        return ts_error(TS_IO, "gnuplot could not be started: %s", strerror(error));
    int result;
    while (waitpid(child, &result, 0) < 0)
        if (errno != EINTR)
            return ts_error(TS_IO, "gnuplot: %s", strerror(errno));
    return WIFEXITED(result) && WEXITSTATUS(result) == 0 ? NULL : failure(folder, messages);
}

ts_status ts_gnuplot_run(const char *folder, const char *name, bool *found)
{
    char script[64];
    snprintf(script, sizeof script, "%s.gp", name);
    char *arguments[] = {"gnuplot",
                         "--default-settings",
                         "-e",
                         "format='svg'",
                         script,
                         "-e",
                         "reset; format='pdf'",
                         script,
                         "-e",
                         "reset; format='tex'",
                         script,
                         NULL};
    FILE *messages = tmpfile();
    if (!messages)
        return ts_error(TS_IO, "a file for gnuplot's messages: %s", strerror(errno));
    ts_status status = run(folder, arguments, messages, found);
    fclose(messages);
    return status;
}
