/*
 * JPEG (ITU-T T.81) by libjpeg-turbo, with its accurate integer DCT and smooth upsampling, as it decodes by
 * itself and as Pillow has it decode.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>
#include "data/images/picture.h"

/* A progressive file may ask for the whole picture again and again. */
enum { MOST_SCANS = 500 };

typedef struct decoding {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    const uint8_t *content;
    size_t bytes;
    uint8_t *row; /* where rows go, one behind the other, of `stride` bytes */
    size_t stride;
    char message[JMSG_LENGTH_MAX];
} decoding;

/* ---- called by libjpeg ---- */

static void on_error(j_common_ptr jpeg)
{
    decoding *d = jpeg->client_data;
    jpeg->err->format_message(jpeg, d->message);
    longjmp(d->back, 1);
}

/* Of warnings, all but the one that the file ended early, which libjpeg pads with grey. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF)
        on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    decoding *d = jpeg->client_data;
    if (d->jpeg.input_scan_number <= MOST_SCANS)
        return;
    snprintf(d->message, sizeof d->message, "more than %d scans", MOST_SCANS);
    longjmp(d->back, 1);
}

/* ---- steps, which libjpeg may leave at any call ---- */

static void read_header(decoding *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_create_decompress(jpeg);
    d->progress.progress_monitor = on_progress;
    jpeg->progress = &d->progress;
    jpeg_mem_src(jpeg, d->content, d->bytes);
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = jpeg->num_components == 1   ? JCS_GRAYSCALE
                            : jpeg->num_components == 4 ? JCS_CMYK
                                                        : JCS_RGB;
    jpeg_calc_output_dimensions(jpeg);
}

static void read_rows(decoding *d)
{
    jpeg_start_decompress(&d->jpeg);
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        JSAMPROW row = d->row + d->jpeg.output_scanline * d->stride;
        jpeg_read_scanlines(&d->jpeg, &row, 1);
    }
    jpeg_finish_decompress(&d->jpeg);
}

static void destroy(decoding *d)
{
    jpeg_destroy_decompress(&d->jpeg);
}

/* Whether a step came to its end.  The one frame that libjpeg jumps back to; it holds nothing. */
static bool guarded(decoding *d, void (*step)(decoding *d))
{
    if (setjmp(d->back))
        return false;
    step(d);
    return true;
}

/* ---- from libjpeg's values to ours ---- */

/* a b / 255, rounded. */
static int product(int a, int b)
{
    const int p = a * b + 128;
    return ((p >> 8) + p) >> 8;
}

/* CMYK as Adobe stores it, 255 for no ink. */
static void from_cmyk(int64_t pixels, const uint8_t *from, uint8_t *to)
{
    for (int64_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++)
            to[3 * i + c] = (uint8_t)(from[4 * i + 3] - product(255 - from[4 * i + c], from[4 * i + 3]));
}

static ts_status failed(const char *name, const decoding *d)
{
    return ts_error(TS_FORMAT, "%s: not a readable JPEG: %s", name, d->message);
}

static ts_status decode(const char *name, decoding *d, ts_picture *picture)
{
    if (!guarded(d, read_header))
        return failed(name, d);
    const int components = d->jpeg.num_components;
    if (components != 1 && components != 3 && components != 4)
        return ts_error(TS_FORMAT, "%s: a JPEG of %d components; of 1, 3 and 4 are read", name, components);
    TS_TRY(
        ts_picture_make(name, d->jpeg.output_height, d->jpeg.output_width, components == 1 ? 1 : 3, picture));
    const int64_t pixels = (int64_t)picture->h * picture->w;
    uint8_t *cmyk = components == 4 ? malloc((size_t)pixels * 4) : NULL;
    if (components == 4 && !cmyk)
        return ts_error(TS_NO_MEMORY, "%s: no memory for %dx%d pixels", name, picture->w, picture->h);
    d->row = cmyk ? cmyk : picture->pixels;
    d->stride = (size_t)picture->w * (size_t)components;
    ts_status status = guarded(d, read_rows) ? NULL : failed(name, d);
    if (!status && cmyk) {
        from_cmyk(pixels, cmyk, picture->pixels);
        picture->conversions = 1u << TS_FROM_CMYK;
    }
    free(cmyk);
    return status;
}

ts_status ts_jpeg_decode(const char *name, const uint8_t *content, size_t bytes, ts_picture *picture)
{
    decoding d = {.content = content, .bytes = bytes};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.jpeg.client_data = &d;
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    ts_status status = decode(name, &d, picture);
    guarded(&d, destroy);
    return status;
}
