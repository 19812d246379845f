/* Manual pages, in the macros of man(7). */
#include <string.h>
#include "cli/documents/documents.h"
#include "cli/option_table.h"

/* Text as it is: roff would take a leading dot or quote for a request, and "-" for a hyphen. */
static void put(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        const bool first = c == text || c[-1] == '\n';
        if (first && (*c == '.' || *c == '\''))
            fputs("\\&", out);
        if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '-')
            fputs("\\-", out);
        else
            fputc(*c, out);
    }
}

static void begin(FILE *out, const char *name, const char *about)
{
    fprintf(out, ".TH \"%s\" 1 \"\" \"tstar " TSTAR_VERSION "\" \"tstar\"\n.SH NAME\n%s \\- ", name, name);
    put(out, about);
    fputs("\n.SH SYNOPSIS\n", out);
}

static void put_options(FILE *out, const cli_usage *usage)
{
    fputs(".SH OPTIONS\n", out);
    for (const cli_option_row *row = cli_option_table; row->name; row++) {
        char help[CLI_HELP_LIMIT];
        if (!cli_option_is_of(row, usage))
            continue;
        cli_option_help(row, help, sizeof help);
        fputs(".TP\n\\fB\\-\\-", out);
        put(out, row->name);
        fputs("\\fR", out);
        if (row->value) {
            fputs(" \\fI", out);
            put(out, row->value);
            fputs("\\fR", out);
        }
        fputc('\n', out);
        put(out, help);
        fputc('\n', out);
    }
    if (usage->takes & CLI_SET)
        fputs(".PP\nEvery key of a configuration: \\fBtstar info \\-\\-keys\\fR\n", out);
}

static void put_end(FILE *out)
{
    fputs(
        ".SH EXIT STATUS\n0, 1 for a failure, 2 for a mistake in what was asked, 130 when interrupted.\n"
        ".SH ENVIRONMENT\n.TP\n\\fBGOMP_SPINCOUNT\\fR, \\fBOMP_WAIT_POLICY\\fR\nhow CPU threads wait for each "
        "other; without either they sleep soon.\n",
        out);
}

void cli_man_command(FILE *out, const cli_command_row *row)
{
    const cli_usage *usage = row->usage;
    char name[64];
    snprintf(name, sizeof name, "tstar-%s", usage->name);
    begin(out, name, row->about);
    fprintf(out, "\\fBtstar %s\\fR ", usage->name);
    put(out, usage->arguments);
    fputs("[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n", out);
    put(out, usage->about);
    fputc('\n', out);
    put_options(out, usage);
    put_end(out);
    fputs(".SH SEE ALSO\n.BR tstar (1)\n", out);
}

void cli_man_overview(FILE *out)
{
    begin(out, "tstar", "score-based diffusion models with a short diffusion time");
    fputs(
        "\\fBtstar\\fR \\fICOMMAND\\fR ...\n.SH DESCRIPTION\nTrains score\\-based diffusion models, fits an "
        "auxiliary density at a short diffusion time T, samples from it by reverse SDE and ODE, bounds the "
        "likelihood, and charts the trade\\-off over T.\n.SH COMMANDS\n",
        out);
    for (const cli_command_row *row = cli_commands; row->usage; row++) {
        fprintf(out, ".TP\n\\fBtstar\\-%s\\fR(1) \\fI", row->usage->name);
        put(out, row->example);
        fputs("\\fR\n", out);
        put(out, row->about);
        fputc('\n', out);
    }
    put_end(out);
    fputs(".SH SEE ALSO\n", out);
    for (const cli_command_row *row = cli_commands; row->usage; row++)
        fprintf(out, ".BR tstar\\-%s (1)%s\n", row->usage->name, row[1].usage ? "," : "");
}
