#include "base/amount.h"

#include <stdbool.h>
#include <stdio.h>

void ts_duration_text(double seconds, char text[32])
{
    const long long s = seconds < 0 ? 0 : seconds < 1e12 ? (long long)(seconds + 0.5) : 1000000000000;
    if (s >= 3600)
        snprintf(text, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%lld:%02lld", s / 60, s % 60);
}

void ts_estimate_text(const ts_cost *parts, int count, char *text, size_t size)
{
    char amount[32];
    double seconds = 0, bytes = 0;
    bool all = true;
    for (int i = 0; i < count; i++) {
        seconds += parts[i].seconds > 0 ? parts[i].seconds : 0;
        all = all && parts[i].seconds >= 0;
        bytes = parts[i].bytes > bytes ? parts[i].bytes : bytes; /* one part at a time */
    }
    ts_duration_text(seconds, amount);
    size_t n = (size_t)snprintf(text, size, "%s%s%s %s", count == 1 ? parts->part : "",
                                count == 1 ? ": " : "", all ? "about" : "at least", amount);
    ts_bytes_text(bytes, amount);
    if (bytes > 0 && n < size)
        n += (size_t)snprintf(text + n, size - n, ", at most %s of memory", amount);
    for (int i = 0; count > 1 && i < count && n < size; i++) {
        *amount = '\0';
        if (parts[i].seconds >= 0)
            ts_duration_text(parts[i].seconds, amount);
        n += (size_t)snprintf(text + n, size - n, "%s%s%s%s", i ? ", " : ": ", parts[i].part,
                              *amount ? " " : "", amount);
    }
}
