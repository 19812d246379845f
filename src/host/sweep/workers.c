#include "sweep/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

ts_status ts_part_list_make(ts_part_list *list)
{
    *list = (ts_part_list){.count = 0};
    if (pthread_mutex_init(&list->lock, NULL))
        return ts_error(TS_NO_MEMORY, "no memory for a lock");
    if (pthread_cond_init(&list->changed, NULL)) {
        pthread_mutex_destroy(&list->lock);
        return ts_error(TS_NO_MEMORY, "no memory for a lock");
    }
    return NULL;
}

void ts_part_list_release(ts_part_list *list)
{
    for (int i = 0; i < list->count; i++)
        ts_status_free(list->parts[i].status);
    pthread_cond_destroy(&list->changed);
    pthread_mutex_destroy(&list->lock);
}

/* ---- taking and giving back; all under the lock ---- */

static bool stopped(const ts_part_list *list)
{
    return list->ends || (list->stop && *list->stop);
}

/* xorshift64 */
static uint64_t next_bits(uint64_t *bits)
{
    *bits ^= *bits << 13;
    *bits ^= *bits >> 7;
    *bits ^= *bits << 17;
    return *bits;
}

/* Whether all that it needs is done; a part that needs one that failed will never be. */
static bool is_ready(const ts_part_list *list, ts_part *part)
{
    bool ready = true;
    for (int i = 0; i < part->need_count; i++) {
        const ts_part_state state = list->parts[part->needs[i]].state;
        if (state == TS_PART_FAILED || state == TS_PART_LEFT)
            part->state = TS_PART_LEFT;
        ready = ready && state == TS_PART_DONE;
    }
    return ready;
}

/* The part to do next; NULL where none is ready, and *later then tells whether one may be. */
static ts_part *choose(ts_part_list *list, bool *later)
{
    ts_part *chosen = NULL;
    uint64_t ready = 0;
    *later = false;
    for (int i = 0; i < list->end; i++) {
        ts_part *part = &list->parts[i];
        if (part->state != TS_PART_WAITS)
            continue;
        if (!is_ready(list, part)) {
            *later = *later || part->state == TS_PART_WAITS;
            continue;
        }
        ready++;
        if (!chosen || (list->order && next_bits(&list->order) % ready == 0))
            chosen = part;
    }
    return chosen;
}

static ts_part *take(ts_part_list *list)
{
    bool later;
    ts_part *part = NULL;
    pthread_mutex_lock(&list->lock);
    while (!stopped(list) && !(part = choose(list, &later)) && later)
        pthread_cond_wait(&list->changed, &list->lock);
    if (part) {
        part->state = TS_PART_RUNS;
        part->first = TS_PART_UNTOLD;
        part->began = ts_seconds();
        if (list->told)
            list->told(list);
    }
    pthread_mutex_unlock(&list->lock);
    return part;
}

/* Whether the other parts would fail likewise, or are not wanted any more. */
static bool ends_all(ts_code code)
{
    return code == TS_INTERRUPTED || code == TS_NO_MEMORY || code == TS_NO_SPACE || code == TS_IO ||
           code == TS_DEVICE;
}

static void give_back(ts_part_list *list, ts_part *part, ts_status status)
{
    pthread_mutex_lock(&list->lock);
    part->state = status ? TS_PART_FAILED : TS_PART_DONE;
    part->status = status;
    part->took = ts_seconds() - part->began;
    if (part->first == TS_PART_UNTOLD)
        part->first = 0;
    list->ends = list->ends || (status && ends_all(ts_status_code(status)));
    pthread_cond_broadcast(&list->changed);
    pthread_mutex_unlock(&list->lock);
}

/* ---- threads ---- */

typedef struct thread {
    pthread_t id;
    ts_part_list *list;
    ts_worker *worker;
    void (*begin)(ts_worker *worker);
} thread;

static void *work(void *argument)
{
    const thread *t = argument;
    if (t->begin)
        t->begin(t->worker);
    for (ts_part *part; (part = take(t->list));)
        give_back(t->list, part, part->run(t->worker, part));
    return NULL;
}

/* ---- what came of it ---- */

static ts_status describe(const ts_part_list *list, const ts_part *first)
{
    int failed = 0, left = 0;
    ts_status status = ts_error(ts_status_code(first->status), "%s", ts_status_message(first->status));
    if (ts_status_code(status) == TS_INTERRUPTED)
        return status;
    for (int i = 0; i < list->end; i++) {
        failed += list->parts[i].state == TS_PART_FAILED;
        left += list->parts[i].state == TS_PART_LEFT;
    }
    if (failed > 1)
        return ts_context(status, "%d parts failed and %d need them; the first, %s", failed, left,
                          first->name);
    return left ? ts_context(status, "%s, which %d parts need", first->name, left)
                : ts_context(status, "%s", first->name);
}

static ts_status result_of(const ts_part_list *list)
{
    const ts_part *first = NULL;
    bool whole = true;
    for (int i = 0; i < list->end; i++) {
        const ts_part *part = &list->parts[i];
        whole = whole && part->state == TS_PART_DONE;
        if (part->state == TS_PART_FAILED && (!first || (ts_status_code(first->status) == TS_INTERRUPTED &&
                                                         ts_status_code(part->status) != TS_INTERRUPTED)))
            first = part;
    }
    if (first)
        return describe(list, first);
    return whole ? NULL : ts_error(TS_INTERRUPTED, "interrupted between two parts");
}

ts_status ts_workers_run(ts_part_list *list, const ts_crew *crew)
{
    thread *threads = calloc((size_t)crew->count, sizeof *threads);
    int started = 1;
    if (!threads)
        return ts_error(TS_NO_MEMORY, "no memory for %d threads", crew->count);
    for (int i = 0; i < crew->count; i++)
        threads[i] = (thread){.list = list, .worker = crew->workers[i], .begin = crew->begin};
    /* where the system gives no more threads, those that there are do all of it */
    while (started < crew->count && !pthread_create(&threads[started].id, NULL, work, &threads[started]))
        started++;
    work(&threads[0]);
    for (int i = 1; i < started; i++)
        pthread_join(threads[i].id, NULL);
    free(threads);
    return result_of(list);
}
