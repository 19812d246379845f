/* How far a sweep is, as a whole, and what is left: from the parts' estimated work and the speed so far. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/clock.h"
#include "diffusion/samplers/sampler.h"

enum { NOTE = 120 };

/* Seconds between two reports, and until the first estimate is worth saying and likely enough. */
static const double often = 0.2, soon = 4;

/* ---- speed ---- */

/* How fast the work of each phase goes where none of it has been seen, beside that of training: fits are of
 * small convolutions.  Measured on configs/digits.yaml and mnist.yaml, roughly; for distances and samplers
 * that adapt it also says how much work they are. */
static double relative_speed(int phase)
{
    switch (phase) {
    case TS_SWEEP_FIT:
    case TS_SWEEP_PRIOR:
        return 0.3;
    case TS_SWEEP_DISTANCE:
        return 0.1;
    default:
        return 1;
    }
}

/* What of a part's work this call did and what is left, as shares of the part. */
static double share_done(const ts_part *part)
{
    if (part->state == TS_PART_DONE)
        return part->reused ? 0 : 1 - part->first;
    return part->state == TS_PART_RUNS && part->first >= 0 ? fmax(part->share - part->first, 0) : 0;
}

static double share_left(const ts_part *part)
{
    return part->state == TS_PART_RUNS ? 1 - part->share : part->state == TS_PART_WAITS;
}

/* speed [phases]: work a second; false: nothing has been done yet. */
static bool measure_speed(const ts_part_list *list, double now, double *speed)
{
    double seconds[TS_SWEEP_PHASE_COUNT] = {0}, work[TS_SWEEP_PHASE_COUNT] = {0};
    double all_seconds = 0, all_work = 0;
    for (int i = 0; i < list->count; i++) {
        const ts_part *part = &list->parts[i];
        const double share = share_done(part);
        if (!(share > 0))
            continue;
        const double took = part->state == TS_PART_DONE ? part->took : now - part->began;
        seconds[part->phase] += took;
        work[part->phase] += share * part->work;
        all_seconds += took;
        all_work += share * part->work / relative_speed(part->phase);
    }
    for (int k = 0; k < TS_SWEEP_PHASE_COUNT; k++)
        speed[k] = work[k] > 0 ? work[k] / seconds[k] : relative_speed(k) * all_work / all_seconds;
    return all_work > 0;
}

/* ---- what is left ---- */

static double seconds_left(const ts_part *part, const double *speed)
{
    return share_left(part) * part->work / speed[part->phase];
}

/* The first part that waits and whose needs are met at *time; else the one for which that is soonest, and *time
 * is when.  What is timed waits for all others. */
static int next_of(const ts_sweep *s, const double *end, double *time)
{
    const ts_part_list *list = &s->list;
    int chosen = TS_NO_PART;
    double soonest = INFINITY;
    for (int i = 0; i < list->count; i++) {
        if (i == s->timings && chosen != TS_NO_PART)
            break;
        if (end[i] >= 0)
            continue;
        double ready = *time;
        for (int k = 0; k < list->parts[i].need_count; k++) {
            const double end_of_need = end[list->parts[i].needs[k]];
            ready = fmax(ready, end_of_need < 0 ? INFINITY : end_of_need);
        }
        if (ready < soonest || chosen == TS_NO_PART) {
            soonest = ready;
            chosen = i;
        }
        if (ready <= *time)
            break;
    }
    *time = soonest;
    return chosen;
}

static int first_free(const double *busy, int workers)
{
    int first = 0;
    for (int i = 1; i < workers; i++)
        if (busy[i] < busy[first])
            first = i;
    return first;
}

/* The seconds until all is done: the workers take the parts as they will. */
static double simulate(const ts_sweep *s, const double *speed, double *end, double *busy)
{
    const ts_part_list *list = &s->list;
    double last = 0;
    int running = 0;
    for (int i = 0; i < s->worker_count; i++)
        busy[i] = 0;
    for (int i = 0; i < list->count; i++) {
        const ts_part_state state = list->parts[i].state;
        end[i] = state == TS_PART_WAITS ? -1 : seconds_left(&list->parts[i], speed);
        if (state == TS_PART_RUNS)
            busy[running++] = end[i];
        if (end[i] > last)
            last = end[i];
    }
    for (;;) {
        const int worker = first_free(busy, s->worker_count);
        double time = busy[worker];
        const int i = next_of(s, end, &time);
        if (i == TS_NO_PART)
            return last;
        if (i >= s->timings) /* alone */
            time = last;
        end[i] = busy[worker] = time + seconds_left(&list->parts[i], speed);
        last = fmax(last, end[i]);
    }
}

static double left_of(const ts_sweep *s, const double *speed)
{
    double *end = malloc(sizeof *end * (size_t)s->list.count);
    double *busy = malloc(sizeof *busy * (size_t)s->worker_count);
    const double left = end && busy ? simulate(s, speed, end, busy) : NAN;
    free(end);
    free(busy);
    return left;
}

/* ---- the estimate before most of the work ---- */

static double bytes_of(const ts_sweep *s)
{
    double bytes = 0;
    for (int i = 0; i < s->worker_count; i++)
        bytes += fmax(s->workers[i]->bytes, s->estimates.bytes);
    return bytes;
}

void ts_sweep_phase_text(int phase, char text[64])
{
    static const char *const phases[] = {
#define X(name, text) text,
        TS_SWEEP_PHASES(X)
#undef X
    };
    if (phase < TS_SWEEP_SAMPLE)
        snprintf(text, 64, "%s", phases[phase]);
    else
        snprintf(text, 64, "samples by %s", ts_samplers[phase - TS_SWEEP_SAMPLE].text);
}

/* Those phases that there are, as they would be one after the other. */
static void say_estimate(ts_sweep *s, const double *speed, double wall)
{
    ts_cost estimates[TS_SWEEP_PHASE_COUNT];
    char text[TS_SWEEP_PHASE_COUNT][64];
    int count = 0;
    double others = 0;
    for (int k = 0; k < TS_SWEEP_PHASE_COUNT; k++) {
        double seconds = 0;
        for (int i = 0; i < s->list.count; i++)
            if (s->list.parts[i].phase == k)
                seconds += (share_done(&s->list.parts[i]) + share_left(&s->list.parts[i])) *
                           s->list.parts[i].work / speed[k];
        if (k < TS_SWEEP_LIKELIHOOD) { /* once more from each other seed */
            others += (s->seeds - 1) * seconds / s->worker_count;
            seconds *= s->seeds;
        }
        ts_sweep_phase_text(k, text[count]);
        estimates[count] = (ts_cost){text[count], seconds, bytes_of(s)};
        count += seconds > 0;
    }
    s->options->estimated(s->options->context, wall + others, estimates, count);
}

/* Once every worker has shown how fast it is, or waits for one that has. */
static bool is_known(const ts_sweep *s, double now)
{
    if (now - s->estimates.began < soon)
        return false;
    for (int i = 0; i < s->list.count; i++) {
        const ts_part *part = &s->list.parts[i];
        if (part->state == TS_PART_RUNS && now - part->began < soon / 2 && !(share_done(part) > 0))
            return false;
    }
    return true;
}

/* ---- the line ---- */

static void write_note(const ts_sweep *s, char note[NOTE])
{
    int done = 0, running = 0;
    for (int i = 0; i < s->list.count; i++) {
        done += s->list.parts[i].state == TS_PART_DONE;
        running += s->list.parts[i].state == TS_PART_RUNS;
    }
    size_t n = (size_t)snprintf(note, NOTE, "%d of %d parts", done, s->list.count);
    for (int i = 0; i < s->list.count && n < NOTE; i++) {
        const ts_part *part = &s->list.parts[i];
        if (part->state != TS_PART_RUNS)
            continue;
        n += (size_t)snprintf(note + n, NOTE - n, ", %s", part->name);
        if (n < NOTE && part->share > 0)
            n += (size_t)snprintf(note + n, NOTE - n, " %.0f%%", 100 * part->share);
        if (n < NOTE && running == 1 && *part->note)
            n += (size_t)snprintf(note + n, NOTE - n, " (%s)", part->note);
    }
}

/* Of a whole that takes `elapsed` and what is left, that much is done: the receiver's own estimate of the time
 * left is then this one. */
static void told(ts_part_list *list)
{
    ts_sweep *s = list->context;
    const double now = ts_seconds(), elapsed = now - s->estimates.began;
    double speed[TS_SWEEP_PHASE_COUNT], left = NAN;
    char note[NOTE];
    if (now - s->estimates.told < often)
        return;
    s->estimates.told = now;
    if (measure_speed(list, now, speed))
        left = left_of(s, speed);
    if (isfinite(left) && !s->estimates.said && s->options->estimated && is_known(s, now)) {
        s->estimates.said = true;
        say_estimate(s, speed, elapsed + left);
    }
    write_note(s, note);
    const double share = isfinite(left) && elapsed > 0 ? elapsed / (elapsed + left) : 0;
    ts_progress_report(s->options->progress, s->phase, 100 * fmin(share, 0.9999), 100, "%", note);
}

void ts_sweep_watch(ts_sweep *s)
{
    s->estimates.began = ts_seconds();
    s->list.told = told;
    s->list.context = s;
    s->list.stop = s->options->progress ? s->options->progress->stop : NULL;
}

/* ---- a worker's own reports ---- */

static void update(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                   const char *note)
{
    ts_worker *w = (ts_worker *)((char *)progress - offsetof(ts_worker, progress));
    ts_part_list *list = &w->sweep->list;
    (void)phase;
    (void)unit;
    pthread_mutex_lock(&list->lock);
    w->part->share = total > 0 ? done / total : 0;
    if (w->part->first < 0)
        w->part->first = w->part->share;
    snprintf(w->part->note, sizeof w->part->note, "%s", note ? note : "");
    w->bytes = (double)w->run.device->peak_bytes;
    if (done < total) /* else the next part will say so */
        told(list);
    pthread_mutex_unlock(&list->lock);
}

void ts_worker_watch(ts_worker *w, ts_part *part)
{
    w->part = part;
    w->progress = (ts_progress){.update = update, .stop = w->sweep->list.stop};
}
