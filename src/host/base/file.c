#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

static ts_status failed(const char *what, const char *path)
{
    const int error = errno;
    const ts_code code = error == ENOENT || error == ENOTDIR  ? TS_NOT_FOUND
                         : error == ENOSPC || error == EDQUOT ? TS_NO_SPACE
                         : error == EACCES || error == EROFS  ? TS_INVALID
                         : error == EISDIR                    ? TS_FORMAT
                         : error == ENOMEM                    ? TS_NO_MEMORY
                                                              : TS_IO;
    return ts_error(code, "%s: cannot %s: %s", path, what, strerror(error));
}

/* Network file systems may be interrupted while they open and sync. */
static int open_file(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int sync_file(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result && errno == EINTR);
    return result;
}

bool ts_file_same(const char *a, const char *b)
{
    struct stat first, second;
    return !stat(a, &first) && !stat(b, &second) && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

ts_status ts_file_open(const char *path, int *descriptor, uint64_t *bytes)
{
    struct stat about;
    const int fd = open_file(path, O_RDONLY | O_NONBLOCK);
    *descriptor = -1;
    if (fd < 0)
        return failed("open", path);
    if (fstat(fd, &about) || !S_ISREG(about.st_mode)) {
        close(fd);
        return ts_error(TS_FORMAT, "%s: not a regular file", path);
    }
    *descriptor = fd;
    *bytes = (uint64_t)about.st_size;
    return NULL;
}

static ts_status read_all(int fd, const char *path, char *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = read(fd, to + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed("read", path);
        if (n == 0)
            return ts_error(TS_FORMAT, "%s: ends after %zu of %zu bytes", path, done, bytes);
        done += (size_t)n;
    }
    return NULL;
}

ts_file_kind ts_file_kind_of(const char *path)
{
    unsigned char first[9] = {0};
    uint64_t header = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t bytes = fd < 0 ? -1 : read(fd, first, sizeof first);
    if (fd >= 0)
        close(fd);
    if (bytes < (ssize_t)sizeof first)
        return TS_FILE_OTHER;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | first[i];
    if (first[8] == '{' && header < (uint64_t)1 << 32) /* first: a pickle's two bytes can begin its length */
        return TS_FILE_SAFETENSORS;
    if (!memcmp(first, "PK\3\4", 4) || (first[0] == 0x80 && first[1] >= 2 && first[1] <= 5)) /* zip, pickle */
        return TS_FILE_PYTORCH;
    return TS_FILE_OTHER;
}

ts_status ts_file_read(const char *path, size_t limit, char **content, size_t *bytes)
{
    int fd;
    uint64_t size;
    *content = NULL;
    TS_TRY(ts_file_open(path, &fd, &size));
    if (size > limit) {
        close(fd);
        return ts_error(TS_FORMAT, "%s: %llu bytes; at most %zu are expected", path, (unsigned long long)size,
                        limit);
    }
    char *memory = malloc((size_t)size + 1);
    ts_status status =
        memory ? read_all(fd, path, memory, (size_t)size)
               : ts_error(TS_NO_MEMORY, "%s: cannot hold %llu bytes", path, (unsigned long long)size);
    close(fd);
    if (status) {
        free(memory);
        return status;
    }
    memory[size] = 0;
    *content = memory;
    *bytes = (size_t)size;
    return NULL;
}

/* ---- what writers that died left behind ---- */

/* The process number in "NAME.NUMBER.tmp", and NAME's length; 0: another name. */
static long writer_of(const char *name, size_t *length)
{
    const size_t whole = strlen(name);
    if (whole < 7 || strcmp(name + whole - 4, ".tmp") != 0)
        return 0;
    const char *digits = name + whole - 4;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    const long process = strtol(digits, NULL, 10);
    if (digits <= name + 1 || digits[-1] != '.' || process > INT_MAX)
        return 0;
    *length = (size_t)(digits - 1 - name);
    return process;
}

/* Those of the file `name`; NULL: of every file. */
static void remove_leftovers(const char *folder, const char *name)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return;
    for (const struct dirent *entry; (entry = readdir(entries));) {
        size_t length;
        const long process = writer_of(entry->d_name, &length);
        if (!process || (name && (strlen(name) != length || strncmp(name, entry->d_name, length) != 0)))
            continue;
        /* in containers one number serves process after process; a writer of this one is about to begin
         * anew */
        if ((process == getpid() && !name) || (kill((pid_t)process, 0) && errno == ESRCH))
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

void ts_file_remove_leftovers(const char *folder)
{
    remove_leftovers(folder, NULL);
}

/* The folder of a path, from malloc; *name is where the file's own name begins in it. */
static char *folder_of(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* ---- atomic writing ---- */

enum { BUFFER = 1 << 18 };

struct ts_file_writer {
    int fd;
    char *path, *temporary;
    size_t buffered;
    char buffer[BUFFER];
};

static void writer_free(ts_file_writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->path);
    free(writer->temporary);
    free(writer);
}

ts_status ts_file_create(const char *path, ts_file_writer **writer)
{
    *writer = NULL;
    ts_file_writer *w = malloc(sizeof *w);
    if (!w)
        return ts_error(TS_NO_MEMORY, "%s: no memory to write it", path);
    w->fd = -1;
    w->buffered = 0;
    w->path = strdup(path);
    w->temporary = NULL;
    /* the process number keeps two writers of one file from sharing a temporary one */
    if (!w->path || asprintf(&w->temporary, "%s.%ld.tmp", path, (long)getpid()) < 0) {
        w->temporary = NULL;
        writer_free(w);
        return ts_error(TS_NO_MEMORY, "%s: no memory to write it", path);
    }
    const char *name;
    char *folder = folder_of(path, &name);
    if (folder)
        remove_leftovers(folder, name);
    free(folder);
    w->fd = open_file(w->temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (w->fd < 0) {
        ts_status status = failed("write", path);
        writer_free(w);
        return status;
    }
    *writer = w;
    return NULL;
}

static ts_status write_all(const ts_file_writer *w, const char *data, size_t bytes)
{
    while (bytes) {
        const ssize_t n = write(w->fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0) /* no reason given, and no end to trying again */
            errno = EIO;
        if (n <= 0)
            return failed("write", w->path);
        data += n;
        bytes -= (size_t)n;
    }
    return NULL;
}

static ts_status flush(ts_file_writer *w)
{
    const size_t bytes = w->buffered;
    w->buffered = 0;
    return write_all(w, w->buffer, bytes);
}

ts_status ts_file_append(ts_file_writer *writer, const void *data, size_t bytes)
{
    if (bytes > BUFFER - writer->buffered)
        TS_TRY(flush(writer));
    if (bytes > BUFFER)
        return write_all(writer, data, bytes);
    if (bytes)
        memcpy(writer->buffer + writer->buffered, data, bytes);
    writer->buffered += bytes;
    return NULL;
}

/* The rename itself must survive a crash. */
static ts_status sync_folder(const char *path)
{
    const char *name;
    char *folder = folder_of(path, &name);
    if (!folder)
        return ts_error(TS_NO_MEMORY, "%s: no memory to sync its folder", path);
    const int fd = open_file(folder, O_RDONLY | O_DIRECTORY);
    free(folder);
    /* some file systems cannot sync a folder: EINVAL is not a failure of the write */
    const bool bad = fd < 0 || (sync_file(fd) && errno != EINVAL);
    ts_status status = bad ? failed("sync the folder of", path) : NULL;
    if (fd >= 0)
        close(fd);
    return status;
}

static ts_status finish(ts_file_writer *w)
{
    TS_TRY(flush(w));
    if (sync_file(w->fd))
        return failed("sync", w->path);
    const int fd = w->fd;
    w->fd = -1;
    if (close(fd) && errno != EINTR) /* closed all the same, and synced before */
        return failed("close", w->path);
    return rename(w->temporary, w->path) ? failed("replace", w->path) : NULL;
}

ts_status ts_file_commit(ts_file_writer *writer)
{
    ts_status status = finish(writer);
    if (status) {
        ts_file_abandon(writer);
        return status;
    }
    status = sync_folder(writer->path);
    writer_free(writer);
    return status;
}

void ts_file_abandon(ts_file_writer *writer)
{
    if (!writer)
        return;
    unlink(writer->temporary);
    writer_free(writer);
}

ts_status ts_file_write(const char *path, const void *data, size_t bytes)
{
    ts_file_writer *writer;
    TS_TRY(ts_file_create(path, &writer));
    ts_status status = ts_file_append(writer, data, bytes);
    if (!status)
        return ts_file_commit(writer);
    ts_file_abandon(writer);
    return status;
}

/* ---- folders ---- */

static ts_status make_one(const char *path)
{
    struct stat about;
    if (!mkdir(path, 0777))
        return NULL;
    if (errno == EEXIST && !stat(path, &about)) {
        if (S_ISDIR(about.st_mode))
            return NULL;
        return ts_error(TS_INVALID, "%s: exists and is no folder", path);
    }
    return failed("create the folder", path);
}

ts_status ts_file_make_folder(const char *path)
{
    char *part = strdup(path);
    if (!part)
        return ts_error(TS_NO_MEMORY, "%s: no memory to create it", path);
    ts_status status = NULL;
    for (char *p = part + 1; !status && *part && *p; p++)
        if (*p == '/' && p[-1] != '/') {
            *p = 0;
            status = make_one(part);
            *p = '/';
        }
    free(part);
    return status ? status : make_one(path);
}
