#include "base/utf8.h"

/* How many bytes follow the first one, and which second bytes are right after it (RFC 3629, section 4). */
static int tail_of(unsigned first, unsigned *low, unsigned *high)
{
    *low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0x80)
        return 0;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    return first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
}

bool ts_is_utf8(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        unsigned low, high;
        /* a text that ends too early has a 0 where a tail byte should be */
        for (int left = tail_of(*p, &low, &high); left; left--, low = 0x80, high = 0xBF)
            if (left < 0 || *++p < low || *p > high)
                return false;
    }
    return true;
}
