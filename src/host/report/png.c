#include "report/png.h"

#include <math.h>
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* A small image is enlarged until its longer side has at least this many pixels. */
#define LEGIBLE_PIXELS   40
#define SEPARATOR_PIXELS 2
#define SEPARATOR_LEVEL  236
#define LARGEST_PIXELS   ((size_t)1 << 28)

/* Where everything lies; lengths in pixels of the finished picture. */
typedef struct layout {
    int n, h, w, c, columns, rows, zoom;
    size_t width, height;
} layout;

static ts_status plan(const float *images, int n, int h, int w, int c, int columns, int zoom, layout *l)
{
    if (n < 1 || h < 1 || w < 1 || !images)
        return ts_error(TS_INVALID, "image grid: %d images of %dx%d cannot be drawn", n, h, w);
    if (c != 1 && c != 3)
        return ts_error(TS_INVALID, "image grid: %d channels; 1 (grey) or 3 (RGB) can be drawn", c);
    if (columns <= 0)
        columns = (int)ceil(sqrt((double)n * h / w));
    if (columns > n)
        columns = n;
    if (zoom <= 0) {
        const int side = h > w ? h : w;
        zoom = (LEGIBLE_PIXELS + side - 1) / side;
    }
    *l = (layout){.n = n, .h = h, .w = w, .c = c, .columns = columns, .zoom = zoom};
    l->rows = (n + columns - 1) / columns;
    l->width = (size_t)l->columns * ((size_t)w * zoom + SEPARATOR_PIXELS) + SEPARATOR_PIXELS;
    l->height = (size_t)l->rows * ((size_t)h * zoom + SEPARATOR_PIXELS) + SEPARATOR_PIXELS;
    if (l->width > 1000000 || l->height > 1000000 || l->width * l->height > LARGEST_PIXELS)
        return ts_error(TS_INVALID, "image grid: %zux%zu pixels is too large; draw fewer images or zoom less",
                        l->width, l->height);
    return NULL;
}

static uint8_t level_of(float value)
{
    if (!(value > -1.0f)) /* also NaN */
        return 0;
    return value >= 1.0f ? 255 : (uint8_t)lrintf((value + 1.0f) * 127.5f);
}

static void draw_image(const layout *l, const float *image, int index, uint8_t *pixels)
{
    const size_t x0 = SEPARATOR_PIXELS + (size_t)(index % l->columns) * (l->w * l->zoom + SEPARATOR_PIXELS);
    const size_t y0 = SEPARATOR_PIXELS + (size_t)(index / l->columns) * (l->h * l->zoom + SEPARATOR_PIXELS);
    for (int y = 0; y < l->h * l->zoom; y++) {
        uint8_t *to = pixels + ((y0 + y) * l->width + x0) * l->c;
        for (int x = 0; x < l->w * l->zoom; x++)
            for (int k = 0; k < l->c; k++)
                *to++ = level_of(image[((size_t)(y / l->zoom) * l->w + x / l->zoom) * l->c + k]);
    }
}

ts_status ts_png_encode(const float *images, int n, int h, int w, int c, int columns, int zoom,
                        unsigned char **png, size_t *size)
{
    layout l;
    TS_TRY(plan(images, n, h, w, c, columns, zoom, &l));
    const size_t bytes = l.width * l.height * c;
    uint8_t *pixels = malloc(bytes);
    if (!pixels)
        return ts_error(TS_NO_MEMORY, "image grid: no memory for %zu bytes", bytes);
    memset(pixels, SEPARATOR_LEVEL, bytes);
    for (int i = 0; i < n; i++)
        draw_image(&l, images + (size_t)i * h * w * c, i, pixels);

    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)l.width,
                       .height = (png_uint_32)l.height,
                       .format = c == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t length = PNG_IMAGE_PNG_SIZE_MAX(image);
    unsigned char *out = malloc(length);
    ts_status status = NULL;
    if (!out)
        status = ts_error(TS_NO_MEMORY, "image grid: no memory for %zu bytes", (size_t)length);
    else if (!png_image_write_to_memory(&image, out, &length, 0, pixels, 0, NULL))
        status = ts_error(TS_IO, "image grid: libpng: %s", image.message);
    png_image_free(&image);
    free(pixels);
    if (status) {
        free(out);
        return status;
    }
    *png = out;
    *size = length;
    return NULL;
}

ts_status ts_png_grid(const char *path, const float *images, int n, int h, int w, int c, int columns,
                      int zoom)
{
    unsigned char *png = NULL;
    size_t size = 0;
    TS_TRY(ts_png_encode(images, n, h, w, c, columns, zoom, &png, &size));
    ts_status status = ts_file_write(path, png, size);
    free(png);
    return status;
}
