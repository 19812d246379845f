#include "base/words.h"

#include <limits.h>
#include <string.h>

enum { LONGEST = 64 };

static int smallest(int a, int b, int c)
{
    const int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

int ts_word_distance(const char *a, const char *b)
{
    int rows[3][LONGEST], *before = rows[0], *above = rows[1], *row = rows[2];
    const size_t n = strlen(b);
    if (n >= LONGEST || strlen(a) >= LONGEST)
        return INT_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (int i = 1; a[i - 1]; i++) {
        int *const freed = before;
        before = above;
        above = row;
        row = freed;
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            row[j] = smallest(above[j - 1] + (a[i - 1] != b[j - 1]), above[j] + 1, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return row[n];
}

int ts_word_tolerance(const char *word)
{
    const size_t third = strlen(word) / 3;
    return third < 2 ? 1 + (int)third : 3;
}

const char *ts_closest_word(const ts_words *words, const char *word)
{
    const char *best = NULL;
    int least = ts_word_tolerance(word) + 1;
    for (int i = 0; i < words->count; i++) {
        const int distance = ts_word_distance(word, words->word[i]);
        /* a word of which no letter is left was not meant */
        if (distance < least && distance < (int)strlen(words->word[i])) {
            least = distance;
            best = words->word[i];
        }
    }
    return best;
}
