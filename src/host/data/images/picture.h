/*
 * One picture: decoded, cropped, resized.  Private to images/.
 */
#ifndef TS_DATA_IMAGES_PICTURE_H
#define TS_DATA_IMAGES_PICTURE_H

#include "data/images.h"

/* What was done to a picture that is not plain grey or RGB of 8 bits; a bit each, and what to say of it. */
#define TS_CONVERSIONS(X)                                                                                    \
    X(TS_FROM_PALETTE, "of a palette: its colours")                                                          \
    X(TS_FROM_ALPHA, "with alpha: it is dropped")                                                            \
    X(TS_FROM_GREY_16, "grey of 16 bits: values above 255 become 255")                                       \
    X(TS_FROM_COLOUR_16, "of 16 bits a colour: the upper 8")                                                 \
    X(TS_FROM_CMYK, "CMYK: to RGB")                                                                          \
    X(TS_TO_COLOUR, "grey beside pictures in colour: to RGB")                                                \
    X(TS_TO_GREY, "in colour: to grey")                                                                      \
    X(TS_STRETCHED, "not square: stretched to a square (data.crop takes a centred one first)")

typedef enum ts_conversion {
#define X(name, text) name,
    TS_CONVERSIONS(X)
#undef X
        TS_CONVERSION_COUNT
} ts_conversion;

typedef struct ts_picture {
    int h, w, c;          /* c: 1 grey, 3 RGB */
    uint8_t *pixels;      /* malloc [h,w,c] */
    unsigned conversions; /* bits 1 << ts_conversion */
} ts_picture;

void ts_picture_release(ts_picture *picture);

/* A picture of h*w*c bytes, not set; refuses sizes that nobody trains on (TS_FORMAT). */
ts_status ts_picture_make(const char *name, int64_t h, int64_t w, int c, ts_picture *picture);

/* A file's content as Pillow's Image.open(...) and convert("RGB") see it, or convert("L") where it is grey;
 * PNG or JPEG by its first bytes. `name` is for messages. Errors: TS_FORMAT, TS_NO_MEMORY. */
ts_status ts_picture_decode(const char *name, const uint8_t *content, size_t bytes, ts_picture *picture);
ts_status ts_png_decode(const char *name, const uint8_t *content, size_t bytes, ts_picture *picture);
ts_status ts_jpeg_decode(const char *name, const uint8_t *content, size_t bytes, ts_picture *picture);

/* To 1 or 3 channels, as Pillow's convert("L") and convert("RGB"). */
ts_status ts_picture_channels(const char *name, int channels, ts_picture *picture);

/* Crop and resize of the options, in that order. */
ts_status ts_picture_fit(const char *name, const ts_images_options *options, ts_picture *picture);

/* to [to_h,to_w,c] <- from [h,w,c], to the last bit as Pillow's Image.resize((to_w, to_h), BOX or BICUBIC) of
 * 8-bit images. */
ts_status ts_resize(const char *name, ts_filter_kind filter, const uint8_t *from, int h, int w, int c,
                    int to_h, int to_w, uint8_t *to);

#endif
