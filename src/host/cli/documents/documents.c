#include "cli/documents/documents.h"

#include <stdlib.h>
#include "base/file.h"

typedef void write_overall(FILE *out);

/* Writes what `overall`, or else cli_man_command of `row`, prints. */
static ts_status write_document(const char *dir, const char *name, write_overall *overall,
                                const cli_command_row *row)
{
    char *text = NULL, *path = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return ts_error(TS_NO_MEMORY, "no memory for %s", name);
    if (overall)
        overall(out);
    else
        cli_man_command(out, row);
    ts_status status = fclose(out) || asprintf(&path, "%s/%s", dir, name) < 0
                           ? ts_error(TS_NO_MEMORY, "no memory for %s", name)
                           : NULL;
    if (!status)
        status = ts_file_write(path, text, size);
    free(path);
    free(text);
    return status;
}

static ts_status write_documents(const char *dir)
{
    char *pages, name[64];
    if (asprintf(&pages, "%s/man1", dir) < 0)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = ts_file_make_folder(pages);
    for (const cli_command_row *row = cli_commands; row->usage && !status; row++) {
        snprintf(name, sizeof name, "tstar-%s.1", row->usage->name);
        status = write_document(pages, name, NULL, row);
    }
    if (!status)
        status = write_document(pages, "tstar.1", cli_man_overview, NULL);
    if (!status)
        status = write_document(dir, "_tstar", cli_zsh_completion, NULL);
    if (!status)
        status = write_document(dir, "tstar.bash", cli_bash_completion, NULL);
    free(pages);
    return status;
}

int cli_write_documents(const char *dir)
{
    return cli_finish(write_documents(dir));
}
