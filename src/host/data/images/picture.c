#include "data/images/picture.h"

#include <stdlib.h>
#include <string.h>

/* Of one picture; more is a mistake or an attack. */
enum { MOST_PIXELS = 1 << 27 };

void ts_picture_release(ts_picture *picture)
{
    free(picture->pixels);
    *picture = (ts_picture){.c = 0};
}

ts_status ts_picture_make(const char *name, int64_t h, int64_t w, int c, ts_picture *picture)
{
    if (h < 1 || w < 1 || h > MOST_PIXELS / w)
        return ts_error(TS_FORMAT, "%s: %lldx%lld pixels; up to %d are read", name, (long long)w,
                        (long long)h, MOST_PIXELS);
    *picture = (ts_picture){.h = (int)h, .w = (int)w, .c = c};
    picture->pixels = malloc((size_t)h * (size_t)w * (size_t)c);
    return picture->pixels ? NULL
                           : ts_error(TS_NO_MEMORY, "%s: no memory for %lldx%lld pixels", name, (long long)w,
                                      (long long)h);
}

ts_status ts_picture_decode(const char *name, const uint8_t *content, size_t bytes, ts_picture *picture)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, jpeg[] = {0xff, 0xd8, 0xff};
    *picture = (ts_picture){.c = 0};
    ts_status status;
    if (bytes >= sizeof png && !memcmp(content, png, sizeof png))
        status = ts_png_decode(name, content, bytes, picture);
    else if (bytes >= sizeof jpeg && !memcmp(content, jpeg, sizeof jpeg))
        status = ts_jpeg_decode(name, content, bytes, picture);
    else
        status = ts_error(TS_FORMAT, "%s: neither a PNG nor a JPEG: %zu bytes", name, bytes);
    if (status)
        ts_picture_release(picture);
    return status;
}

/* ITU-R 601-2 luma in 16 bits of fraction. */
static uint8_t luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

ts_status ts_picture_channels(const char *name, int channels, ts_picture *picture)
{
    if (channels == picture->c)
        return NULL;
    ts_picture other;
    TS_TRY(ts_picture_make(name, picture->h, picture->w, channels, &other));
    const int64_t pixels = (int64_t)picture->h * picture->w;
    for (int64_t i = 0; i < pixels; i++)
        if (channels == 1)
            other.pixels[i] = luma(picture->pixels + 3 * i);
        else
            memset(other.pixels + 3 * i, picture->pixels[i], 3);
    other.conversions = picture->conversions | 1u << (channels == 1 ? TS_TO_GREY : TS_TO_COLOUR);
    ts_picture_release(picture);
    *picture = other;
    return NULL;
}

/* The centred part [h,w]; where it cannot be centred, one pixel more is left below and on the right. */
static void crop(ts_picture *picture, int h, int w)
{
    const size_t from = (size_t)picture->w * (size_t)picture->c, to = (size_t)w * (size_t)picture->c;
    const uint8_t *row = picture->pixels + (size_t)((picture->h - h) / 2) * from +
                         (size_t)((picture->w - w) / 2) * (size_t)picture->c;
    for (int y = 0; y < h; y++)
        memmove(picture->pixels + (size_t)y * to, row + (size_t)y * from, to);
    picture->h = h;
    picture->w = w;
}

ts_status ts_picture_fit(const char *name, const ts_images_options *options, ts_picture *picture)
{
    const int smaller = picture->h < picture->w ? picture->h : picture->w;
    const int side = options->crop == TS_CROP_LARGEST ? smaller : options->crop;
    if (side > smaller)
        return ts_error(TS_INVALID, "%s: %dx%d pixels, of which data.crop = %d is no part", name, picture->w,
                        picture->h, side);
    if (side)
        crop(picture, side, side);
    if (!options->resize || (picture->h == options->resize && picture->w == options->resize))
        return NULL;
    ts_picture other;
    TS_TRY(ts_picture_make(name, options->resize, options->resize, picture->c, &other));
    other.conversions = picture->conversions | (picture->h != picture->w ? 1u << TS_STRETCHED : 0);
    ts_status status = ts_resize(name, options->filter, picture->pixels, picture->h, picture->w, picture->c,
                                 other.h, other.w, other.pixels);
    ts_picture_release(picture);
    *picture = other;
    return status;
}
