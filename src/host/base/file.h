/*
 * Files read whole, written atomically, and folders.
 */
#ifndef TS_BASE_FILE_H
#define TS_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* Reads a whole regular file of at most `limit` bytes into memory from malloc, with a 0 byte behind the last
 * one. Errors: TS_NOT_FOUND; TS_FORMAT where it is larger than the limit or no regular file; TS_IO;
 * TS_NO_MEMORY. */
ts_status ts_file_read(const char *path, size_t limit, char **content, size_t *bytes);

/* What a file is by its first bytes, for who took it for another. */
typedef enum ts_file_kind { TS_FILE_OTHER, TS_FILE_PYTORCH, TS_FILE_SAFETENSORS } ts_file_kind;
ts_file_kind ts_file_kind_of(const char *path); /* TS_FILE_OTHER where it cannot be read */

/* Whether two paths lead to one file that exists. */
bool ts_file_same(const char *a, const char *b);

/* Opens an existing regular file for reading and gives its size. */
ts_status ts_file_open(const char *path, int *descriptor, uint64_t *bytes);

/*
 * Atomic writing: everything goes to a temporary file in the same folder, which replaces `path` only at
 * ts_file_commit, after it has been synced.  Whatever fails before, and a process that dies at any moment,
 * leaves the old file as it was; what a dead process left of the same file goes when it is written again.
 * A full file system is TS_NO_SPACE.
 */
typedef struct ts_file_writer ts_file_writer;

ts_status ts_file_create(const char *path, ts_file_writer **writer);
ts_status ts_file_append(ts_file_writer *writer, const void *data, size_t bytes);
/* Syncs, renames over `path`, syncs the folder; frees the writer whether or not it succeeds. */
ts_status ts_file_commit(ts_file_writer *writer);
/* Gives up: removes the temporary file, frees the writer.  NULL is fine. */
void ts_file_abandon(ts_file_writer *writer);

/* All of the above for content in memory. */
ts_status ts_file_write(const char *path, const void *data, size_t bytes);

/* Removes from a folder (not from those below it) the temporary files of writers that died:
 * "NAME.PROCESS.tmp" where no such process lives, or where it is this one, which is to write there only
 * later.  Other names and folders stay, and so does a folder that cannot be read.  The caller holds the
 * folder's lock, or is sure that no other machine writes there. */
void ts_file_remove_leftovers(const char *folder);

/* Creates a folder and those above it; one that exists is fine. */
ts_status ts_file_make_folder(const char *path);

#endif
