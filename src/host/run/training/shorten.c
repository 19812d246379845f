#include "run/training/shorten.h"

#include <math.h>

static bool is_asked_for(const ts_config *config, ts_start_kind start)
{
    const ts_kinds *starts = &config->sweep.starts;
    for (int i = 0; i < starts->count; i++)
        if (starts->v[i] == start)
            return true;
    return !starts->count;
}

/* The largest T that any start may want; NaN: none was measured. */
static double wanted(const ts_config *config, const ts_crossing_T *stars)
{
    double all = NAN, asked = NAN; /* fmax leaves out what is NaN */
    for (int i = 0; i < TS_CROSSING_COUNT; i++) {
        all = fmax(all, stars[i].high);
        if (is_asked_for(config, ts_crossing_starts[i]))
            asked = fmax(asked, stars[i].high);
    }
    return isnan(asked) ? all : asked;
}

double ts_shorten_to(ts_shortening *s, const ts_config *config, double end,
                     const ts_crossing_T stars[TS_CROSSING_COUNT])
{
    const double high = wanted(config, stars);
    if (!(high < end)) {
        *s = (ts_shortening){0};
        return 0;
    }
    s->below = high > s->high ? 1 : s->below + 1;
    s->high = fmax(s->high, high);
    if (s->below < config->train.auto_patience)
        return 0;
    const double T = s->high;
    *s = (ts_shortening){0};
    return T;
}
