/* Manual pages and completions of shells, made from the tables of commands and options. */
#ifndef TS_CLI_DOCUMENTS_H
#define TS_CLI_DOCUMENTS_H

#include <stdio.h>
#include "cli/cli.h"

/* tstar(1), and the page of a command. */
void cli_man_overview(FILE *out);
void cli_man_command(FILE *out, const cli_command_row *row);

/* For bash and for zsh. */
void cli_bash_completion(FILE *out);
void cli_zsh_completion(FILE *out);

#endif
