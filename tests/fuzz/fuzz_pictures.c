/* PNG and JPEG files: decoded, cropped, resized. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include "data/images/picture.h"

void fuzz_begin(void)
{
    static const char *const files[] = {"colour_interlaced.png", "colour_16.png", "grey_16.png",
                                        "grey_alpha_8.png",      "grey_1.png",    "palette_2.png",
                                        "palette_beyond.png",    "jpeg_420.jpeg", "jpeg_progressive.JPG",
                                        "jpeg_cmyk.jpg",         "jpeg_grey.jpg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[1024];
        snprintf(path, sizeof path, SOURCE_DIR "/tests/pictures/golden/%s", files[i]);
        fuzz_seed_file(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ts_images_options options = {
        .crop = TS_CROP_LARGEST, .resize = 7, .filter = size % TS_FILTER_COUNT};
    ts_picture picture;
    ts_status status = ts_picture_decode("input", data, size, &picture);
    if (!status && (picture.h < 1 || picture.w < 1 || (picture.c != 1 && picture.c != 3)))
        abort();
    if (!status)
        status = ts_picture_fit("input", &options, &picture);
    if (!status && (picture.h != 7 || picture.w != 7))
        abort();
    fuzz_status(status);
    ts_picture_release(&picture);
    return 0;
}
