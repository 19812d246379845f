/* The built-in digits: the assembler copies the files into the program's constants. */
#include "data/digits.h"

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
EMBED(train_labels, "train-labels-idx1-ubyte");
EMBED(test_images, "test-images-idx3-ubyte");
EMBED(test_labels, "test-labels-idx1-ubyte");

const unsigned char *ts_digits_bytes(ts_digits_file which, size_t *size)
{
    const struct {
        const unsigned char *first, *end;
    } files[] = {
        [TS_DIGITS_TRAIN_IMAGES] = {train_images, train_images_end},
        [TS_DIGITS_TRAIN_LABELS] = {train_labels, train_labels_end},
        [TS_DIGITS_TEST_IMAGES] = {test_images, test_images_end},
        [TS_DIGITS_TEST_LABELS] = {test_labels, test_labels_end},
    };
    *size = (size_t)(files[which].end - files[which].first);
    return files[which].first;
}
