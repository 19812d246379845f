/*
 * PNG (ISO/IEC 15948) by libpng.  Values are taken as they are stored: no gamma, no background.
 */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "data/images/picture.h"

enum { MOST_CHUNK_BYTES = 1 << 24 };

typedef struct decoding {
    png_structp png;
    png_infop info;
    const uint8_t *content;
    size_t bytes, at;
    int kind, depth; /* as they are stored */
    uint8_t **rows;
    char message[128];
} decoding;

/* ---- called by libpng ---- */

static void on_error(png_structp png, png_const_charp message)
{
    decoding *d = png_get_error_ptr(png);
    snprintf(d->message, sizeof d->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png, (void)message;
}

static void read_content(png_structp png, png_bytep to, size_t bytes)
{
    decoding *d = png_get_io_ptr(png);
    if (bytes > d->bytes - d->at)
        png_error(png, "cut short");
    memcpy(to, d->content + d->at, bytes);
    d->at += bytes;
}

/* ---- steps, which libpng may leave at any call ---- */

static void read_header(decoding *d)
{
    png_read_info(d->png, d->info);
    d->kind = png_get_color_type(d->png, d->info);
    d->depth = png_get_bit_depth(d->png, d->info);
    if (d->kind == PNG_COLOR_TYPE_GRAY && d->depth < 8)
        png_set_expand_gray_1_2_4_to_8(d->png);
    if (d->kind == PNG_COLOR_TYPE_PALETTE)
        png_set_packing(d->png);
    if (d->kind != PNG_COLOR_TYPE_GRAY)
        png_set_strip_16(d->png);
    png_set_strip_alpha(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
}

static void read_rows(decoding *d)
{
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
}

/* Whether a step came to its end.  The one frame that libpng jumps back to; it holds nothing. */
static bool guarded(decoding *d, void (*step)(decoding *d))
{
    if (setjmp(png_jmpbuf(d->png)))
        return false;
    step(d);
    return true;
}

/* ---- from libpng's values to ours ---- */

/* Indices beyond the palette are black. */
static void look_up(const png_color *palette, int colours, int64_t pixels, const uint8_t *from, uint8_t *to)
{
    for (int64_t i = 0; i < pixels; i++) {
        const png_color colour = from[i] < colours ? palette[from[i]] : (png_color){0, 0, 0};
        to[3 * i] = colour.red;
        to[3 * i + 1] = colour.green;
        to[3 * i + 2] = colour.blue;
    }
}

/* Grey of 16 bits, big-endian, in place: what Pillow makes of mode I;16. */
static void clip(int64_t pixels, uint8_t *values)
{
    for (int64_t i = 0; i < pixels; i++)
        values[i] = values[2 * i] ? 255 : values[2 * i + 1];
}

static unsigned conversions_of(int kind, int depth)
{
    unsigned bits = 0;
    if (kind == PNG_COLOR_TYPE_PALETTE)
        bits |= 1u << TS_FROM_PALETTE;
    if (kind & PNG_COLOR_MASK_ALPHA)
        bits |= 1u << TS_FROM_ALPHA;
    if (depth == 16)
        bits |= 1u << (kind == PNG_COLOR_TYPE_GRAY ? TS_FROM_GREY_16 : TS_FROM_COLOUR_16);
    return bits;
}

static ts_status failed(const char *name, const decoding *d)
{
    return ts_error(TS_FORMAT, "%s: not a readable PNG: %s", name, d->message);
}

/* All but the header: `stride` bytes a row as libpng gives them, into the picture. */
static ts_status decode_rows(const char *name, decoding *d, ts_picture *picture)
{
    const size_t stride = png_get_rowbytes(d->png, d->info);
    const int64_t pixels = (int64_t)picture->h * picture->w;
    d->rows = malloc((size_t)picture->h * sizeof *d->rows);
    uint8_t *values = malloc((size_t)picture->h * stride);
    ts_status status = NULL;
    for (int y = 0; d->rows && values && y < picture->h; y++)
        d->rows[y] = values + (size_t)y * stride;
    png_colorp palette;
    int colours;
    if (!d->rows || !values)
        status = ts_error(TS_NO_MEMORY, "%s: no memory for %dx%d pixels", name, picture->w, picture->h);
    else if (!guarded(d, read_rows))
        status = failed(name, d);
    else if (d->kind != PNG_COLOR_TYPE_PALETTE) {
        if (stride == 2 * (size_t)picture->w)
            clip(pixels, values);
        memcpy(picture->pixels, values, (size_t)pixels * (size_t)picture->c);
    } else if (png_get_PLTE(d->png, d->info, &palette, &colours))
        look_up(palette, colours, pixels, values, picture->pixels);
    else
        status = ts_error(TS_FORMAT, "%s: not a readable PNG: it has no palette", name);
    free(values);
    free(d->rows);
    return status;
}

static ts_status decode(const char *name, decoding *d, ts_picture *picture)
{
    d->info = png_create_info_struct(d->png);
    if (!d->info)
        return ts_error(TS_NO_MEMORY, "%s: no memory", name);
    png_set_read_fn(d->png, d, read_content);
    png_set_chunk_malloc_max(d->png, MOST_CHUNK_BYTES);
    if (!guarded(d, read_header))
        return failed(name, d);
    TS_TRY(ts_picture_make(name, png_get_image_height(d->png, d->info), png_get_image_width(d->png, d->info),
                           d->kind & PNG_COLOR_MASK_COLOR ? 3 : 1, picture));
    picture->conversions = conversions_of(d->kind, d->depth);
    return decode_rows(name, d, picture);
}

ts_status ts_png_decode(const char *name, const uint8_t *content, size_t bytes, ts_picture *picture)
{
    decoding d = {.content = content, .bytes = bytes};
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
    if (!d.png)
        return ts_error(TS_NO_MEMORY, "%s: no memory", name);
    ts_status status = decode(name, &d, picture);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    return status;
}
