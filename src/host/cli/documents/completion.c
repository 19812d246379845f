/* Completions of bash and zsh. */
#include <string.h>
#include "cli/documents/documents.h"
#include "cli/option_table.h"

static void put_words(FILE *out, const ts_words *words)
{
    for (int i = 0; i < words->count; i++)
        fprintf(out, "%s%s", i ? " " : "", words->word[i]);
}

/* "a|b" before a space, as the first argument of bench has it; 0 where it is a path. */
static int choice_length(const cli_usage *usage)
{
    const int length = (int)strcspn(usage->arguments, " ");
    return memchr(usage->arguments, '|', (size_t)length) && usage->arguments[0] >= 'a' ? length : 0;
}

static void put_choices(FILE *out, const char *choices, int length)
{
    for (int i = 0; i < length; i++)
        fputc(choices[i] == '|' ? ' ' : choices[i], out);
}

static void put_key(void *context, const char *section, const char *key, const char *kind,
                    const char *fallback, const char *range, const char *change, const char *help)
{
    (void)kind, (void)fallback, (void)range, (void)change, (void)help;
    fprintf(context, " %s%s%s=", section, *section ? "." : "", key);
}

/* ---- bash ---- */

void cli_bash_completion(FILE *out)
{
    fputs("# bash completion of tstar\n_tstar()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
          "command=${COMP_WORDS[1]} options=\"\" first=\"\"\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W \"",
          out);
    for (const cli_command_row *row = cli_commands; row->usage; row++)
        fprintf(out, "%s ", row->usage->name);
    fputs("--help --version\" -- \"$word\"))\n        return\n    fi\n    case $before in\n", out);
    for (const cli_option_row *row = cli_option_table; row->name; row++) {
        if (row->code == OPTION_SET) {
            fprintf(out, "    --%s)\n        compopt -o nospace\n        COMPREPLY=($(compgen -W \"",
                    row->name);
            ts_config_visit(put_key, out);
            fputs("\" -- \"$word\"))\n        return\n        ;;\n", out);
        } else if (row->words) {
            fprintf(out, "    --%s)\n        COMPREPLY=($(compgen -W \"", row->name);
            put_words(out, row->words);
            fputs("\" -- \"$word\"))\n        return\n        ;;\n", out);
        } else if (row->file)
            fprintf(out,
                    "    --%s)\n        COMPREPLY=($(compgen -f -- \"$word\"))\n        return\n        ;;\n",
                    row->name);
        else if (row->value)
            fprintf(out, "    --%s) return ;;\n", row->name);
    }
    fputs("    esac\n    case $command in\n", out);
    for (const cli_command_row *row = cli_commands; row->usage; row++) {
        fprintf(out, "    %s) options=\"", row->usage->name);
        for (const cli_option_row *option = cli_option_table; option->name; option++)
            if (cli_option_is_of(option, row->usage))
                fprintf(out, "--%s ", option->name);
        fputs("\" first=\"", out);
        put_choices(out, row->usage->arguments, choice_length(row->usage));
        fputs("\" ;;\n", out);
    }
    fputs(
        "    esac\n    case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n    *)\n"
        "        if [ \"$COMP_CWORD\" = 2 ] && [ -n \"$first\" ]; then\n"
        "            COMPREPLY=($(compgen -W \"$first\" -- \"$word\"))\n"
        "        else\n            COMPREPLY=($(compgen -f -- \"$word\"))\n        fi\n        ;;\n    esac\n"
        "}\ncomplete -o filenames -F _tstar tstar\n",
        out);
}

/* ---- zsh ---- */

/* Inside single quotes, and where a colon or a bracket would end a description. */
static void put_description(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *text))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
}

static void put_zsh_option(FILE *out, const cli_option_row *row)
{
    char help[CLI_HELP_LIMIT];
    cli_option_help(row, help, sizeof help);
    fprintf(out, " \\\n            '%s--%s[", row->code == OPTION_SET ? "*" : "", row->name);
    put_description(out, help);
    fputc(']', out);
    if (row->value) {
        fputc(':', out);
        put_description(out, row->value);
        fputc(':', out);
        if (row->code == OPTION_SET) {
            fputs("(", out);
            ts_config_visit(put_key, out);
            fputs(")", out);
        } else if (row->words) {
            fputc('(', out);
            put_words(out, row->words);
            fputc(')', out);
        } else if (row->file)
            fputs("_files", out);
    }
    fputc('\'', out);
}

void cli_zsh_completion(FILE *out)
{
    fputs("#compdef tstar\n# zsh completion of tstar\n_tstar()\n{\n    local -a commands\n    commands=(\n",
          out);
    for (const cli_command_row *row = cli_commands; row->usage; row++) {
        fprintf(out, "        '%s:", row->usage->name);
        put_description(out, row->about);
        fputs("'\n", out);
    }
    fputs("    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n",
          out);
    for (const cli_command_row *row = cli_commands; row->usage; row++) {
        const int choices = choice_length(row->usage);
        fprintf(out, "    %s)\n        _arguments", row->usage->name);
        for (const cli_option_row *option = cli_option_table; option->name; option++)
            if (cli_option_is_of(option, row->usage))
                put_zsh_option(out, option);
        if (choices) {
            fputs(" \\\n            '1:what:(", out);
            put_choices(out, row->usage->arguments, choices);
            fputs(")' '2:file:_files'", out);
        } else if (row->usage->most)
            fputs(" \\\n            '*:file:_files'", out);
        fputs("\n        ;;\n", out);
    }
    fputs("    esac\n}\n_tstar \"$@\"\n", out);
}
