/* The built-in digits: the assembler copies the files into the program's constants. */
#include "data/digits.h"

#include <stdlib.h>
#include <string.h>
#include "data/files.h"

/* TSTAR_DIGITS, the folder of the files, comes from CMakeLists.txt. */
#define EMBED(name, file)                                                                                    \
    __asm__(".pushsection .rodata\n"                                                                         \
            ".balign 16\n" #name ":\n"                                                                       \
            ".incbin \"" TSTAR_DIGITS "/" file "\"\n" #name "_end:\n"                                        \
            ".byte 0\n"                                                                                      \
            ".popsection\n");                                                                                \
    extern const unsigned char name[] __attribute__((visibility("hidden")));                                 \
    extern const unsigned char name##_end[] __attribute__((visibility("hidden")))

EMBED(train_images, "train-images-idx3-ubyte");
EMBED(test_images, "test-images-idx3-ubyte");

const unsigned char *ts_digits_bytes(ts_digits_file which, size_t *size)
{
    const struct {
        const unsigned char *first, *end;
    } files[] = {
        [TS_DIGITS_TRAIN_IMAGES] = {train_images, train_images_end},
        [TS_DIGITS_TEST_IMAGES] = {test_images, test_images_end},
    };
    *size = (size_t)(files[which].end - files[which].first);
    return files[which].first;
}

/* ---- the split ---- */

/* Both files as one set. */
static ts_status read_all(ts_image_set *all)
{
    size_t bytes;
    ts_image_set rest = {.count = 0};
    const unsigned char *content = ts_digits_bytes(TS_DIGITS_TRAIN_IMAGES, &bytes);
    TS_TRY(ts_idx_parse_images("built-in digits", content, bytes, all));
    content = ts_digits_bytes(TS_DIGITS_TEST_IMAGES, &bytes);
    TS_TRY(ts_idx_parse_images("built-in digits", content, bytes, &rest));
    const size_t size = (size_t)all->h * (size_t)all->w, first = size * (size_t)all->count;
    const size_t second = size * (size_t)rest.count;
    uint8_t *larger = realloc(all->bytes, first + second);
    if (larger) {
        memcpy(larger + first, rest.bytes, second);
        all->bytes = larger;
        all->count += rest.count;
    }
    ts_image_set_release(&rest);
    return larger ? NULL : ts_error(TS_NO_MEMORY, "%s: no memory", all->name);
}

ts_status ts_digits_read(ts_image_set *train, ts_image_set *test)
{
    ts_image_set all = {.count = 0};
    ts_status status = read_all(&all);
    if (!status)
        status = ts_split(&all, TS_DIGITS_KEY, TS_DIGITS_HELD_OUT, train, test);
    ts_image_set_release(&all);
    return status;
}
