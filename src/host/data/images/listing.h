/*
 * The picture files of a folder and of all folders below it.  Private to images/.
 */
#ifndef TS_DATA_IMAGES_LISTING_H
#define TS_DATA_IMAGES_LISTING_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

typedef struct ts_picture_file {
    char *path; /* below the folder: "cats/1.png" */
    int64_t bytes;
    int64_t changed; /* nanoseconds since 1970 */
    int label;       /* of its class */
} ts_picture_file;

/* Files in bytewise order of their paths. */
typedef struct ts_listing {
    int64_t count;
    ts_picture_file *files;
    int classes;    /* folders, if there are several and all files lie one folder below; else 0 */
    uint32_t names; /* check sum of the folders' names */
} ts_listing;

/*
 * Files named *.png, *.jpg, *.jpeg (in any case, and not hidden); links are followed.  A folder without any is
 * TS_NOT_FOUND, and two files of one name but for its end in one folder, which are one picture twice,
 * TS_INVALID.
 */
ts_status ts_listing_make(const char *folder, ts_listing *listing);
void ts_listing_release(ts_listing *listing);

/* A number that changes when a file comes, goes or changes: of paths, sizes and times of change. */
uint64_t ts_listing_checksum(const ts_listing *listing);

#endif
