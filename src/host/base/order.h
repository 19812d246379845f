/* The order of real numbers, for qsort. */
#ifndef TS_BASE_ORDER_H
#define TS_BASE_ORDER_H

static inline int ts_ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
