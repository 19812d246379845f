/*
 * The log of a training: JSON lines with the keys step, loss, gradient_norm, images_per_second, seconds (of
 * training, over all the calls that the training took).  What is not finite is null.  Where T* was measured
 * (crossing.h): T_star_normal, T_star_normal_low, T_star_normal_high, and the same of gaussian.  With train.T auto: T, up to
 * which t is drawn from the next step on.
 */
#ifndef TS_RUN_LOG_H
#define TS_RUN_LOG_H

#include "diffusion/training.h"
#include "run/training/crossing.h"

typedef struct ts_log ts_log;

/* Opens `path` for more lines; of an older log of any length the lines up to `keep_step` stay (0: none). */
ts_status ts_log_open(const char *path, int64_t keep_step, ts_log **log);
/* `seconds` since the log was opened; the line says those of the lines kept, and these.  stars
 * [TS_CROSSING_COUNT]; NULL: not measured.  T: 0: goes without saying. */
ts_status ts_log_write(ts_log *log, const ts_training_report *report, double images_per_second,
                       double seconds, const ts_crossing_T *stars, double T);
/* The last T* of a start in the log at `path`; 0 where there is none, or no log. */
ts_status ts_log_last_star(const char *path, ts_start_kind start, double *T_star);
void ts_log_close(ts_log *log); /* NULL is fine */

#endif
