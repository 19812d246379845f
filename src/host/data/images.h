/*
 * Pictures as bytes [count,h,w,c], for anyone with a path: the reader behind the data sets of kind folder and
 * array, and what distances between folders read.
 *
 * What lives behind it, in images/: which files there are (listing.c), PNG and JPEG as Pillow's
 * convert("RGB") sees them (png.c, jpeg.c), crops and Pillow's Image.resize (resize.c), reading a folder on
 * all cores (folder.c), and the file of decoded bytes that spares the next reading (cache.c).
 */
#ifndef TS_DATA_IMAGES_H
#define TS_DATA_IMAGES_H

#include <stddef.h>
#include <stdint.h>
#include "base/kinds.h"
#include "base/progress.h"
#include "base/status.h"

/* Images as stored: values 0 .. 255, [count,h,w,c]. */
typedef struct ts_image_set {
    char name[256]; /* of the file or folder, for messages */
    int h, w, c;
    int64_t count;
    uint8_t *bytes;  /* malloc */
    int classes;     /* 0: no labels */
    int32_t *labels; /* malloc [count], 0 .. classes - 1; NULL: the set has none */
    uint32_t names;  /* check sum of the classes' names, where folders are named by them; else 0 */
} ts_image_set;

void ts_image_set_release(ts_image_set *set);

/* The largest centred square, as data.crop says it. */
enum { TS_CROP_LARGEST = -1 };

typedef struct ts_images_options {
    int crop;              /* first: the centred square of so many pixels a side; TS_CROP_LARGEST; 0: none */
    int resize;            /* then: to so many pixels a side, as Image.resize; 0: as they are */
    ts_filter_kind filter; /* by this filter */
    int channels;          /* 1: grey (Pillow's "L"), 3: colour; 0: grey if all pictures are, else colour */
    int threads;           /* that decode; 0: as many as there are processors */
    const char *cache; /* of folders: the folder of a file of the decoded bytes, which is used where it still
                          fits; "": that which the pictures' folder lies in; NULL: none */
    ts_progress *progress; /* NULL: nobody looks */
    /* Told, a line each, of files left out and how many, of pictures that were converted and how, of a cache
     * that is of no use; NULL: nobody. From the thread that calls. */
    void (*warn)(void *context, const char *line);
    void *context;
} ts_images_options;

/*
 * set <- the pictures of `path`, which is
 *   a folder    its PNG and JPEG files (.png, .jpg, .jpeg) and those of all folders below, in bytewise order of
 *               their paths; labels: where there are several folders and each picture lies one below
 *   FILE.npy    an array of uint8 [n,h,w] or [n,h,w,c], c = 1 or 3
 *   FILE.npz    its one member that is such an array
 * Files that cannot be decoded are left out, named and counted. All pictures come out in one size: where they
 * differ and options make them no one size, that is an error.
 * Errors: TS_NOT_FOUND, TS_FORMAT, TS_INVALID, TS_NO_MEMORY, TS_IO, TS_INTERRUPTED; each one line that names
 * the file and what would be right. They leave a set that may be released.
 */
ts_status ts_images_read(const char *path, const ts_images_options *options, ts_image_set *set);

#endif
