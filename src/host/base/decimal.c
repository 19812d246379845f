#include "base/decimal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ts_decimal(double value, char text[32])
{
    /* %g drops zeros at the end, and below six digits it would turn to exponents earlier */
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, 30, "%.*g", digits, value); /* room for ".0" */
        if (strtod(text, NULL) == value)
            break;
    }
}

void ts_T_text(double T, char text[32])
{
    ts_decimal(T, text);
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
}
