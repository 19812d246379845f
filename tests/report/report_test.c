#include "report_test.h"

#include <unistd.h>

#include "base/file.h"

static char folder[] = "/tmp/tstar-test-report-XXXXXX";

const char *path_of(const char *name)
{
    static char path[8][256];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

char *content_of(const char *name)
{
    char *text = NULL;
    size_t size;
    must(ts_file_read(path_of(name), (size_t)1 << 26, &text, &size));
    return text;
}

bool exists(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

void write_text(const char *name, const char *text)
{
    must(ts_file_write(path_of(name), text, strlen(text)));
}

int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

void expect_error(ts_status status, ts_code code, const char *part)
{
    assert_int_equal(ts_status_code(status), code);
    if (!strstr(ts_status_message(status), part))
        fail_msg("'%s' does not say '%s'", ts_status_message(status), part);
    ts_status_free(status);
}

void run_folder(const char *name, const ts_results *results)
{
    must(ts_file_make_folder(path_of(name)));
    made_up_store(results, path_of(name));
}

int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}
