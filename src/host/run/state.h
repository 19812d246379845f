/*
 * The state of a parameter set in a safetensors file: every parameter NAME under the public names, its
 * average "ema.NAME" and Adam's moments "adam.first.NAME" and "adam.second.NAME", float32 in public shapes.
 * Constants exist as values alone.  And what such files say about themselves: whole numbers, real ones, and
 * the data that they come from.  Checkpoints and fits are made of these.
 */
#ifndef TS_RUN_STATE_H
#define TS_RUN_STATE_H

#include "base/safetensors.h"
#include "data/dataset.h"
#include "graph/params.h"

/* ---- tensors ---- */

/* Declares the values, with `training` averages and moments too, in the order in which they are appended. */
void ts_state_declare(ts_safetensors_writer *writer, const ts_params *params, bool training);
/* All that was declared with `training`. */
ts_status ts_state_append(ts_safetensors_writer *writer, const ts_params *params);
/* The averages, and the constants, under the names of the values. */
ts_status ts_state_append_average(ts_safetensors_writer *writer, const ts_params *params);
/* The values, and the constants: all that was declared without `training`. */
ts_status ts_state_append_values(ts_safetensors_writer *writer, const ts_params *params);

/* Whether the file holds all of a training state in the right shapes: *missing is the first name that it does
 * not, or "", and *found how many tensors there are.  Nothing is read. */
enum { TS_STATE_NAME = 128 };
void ts_state_look(const ts_safetensors *file, const ts_params *params, char missing[TS_STATE_NAME],
                   int *found);

/* Everything back into params, whose training is enabled; or weights alone as their values: the averages with
 * `averaged`.  Errors name the file and the tensor. */
ts_status ts_state_read(ts_safetensors *file, ts_params *params);
ts_status ts_state_read_weights(ts_safetensors *file, ts_params *params, bool averaged);

/* ---- metadata ---- */

void ts_state_declare_integer(ts_safetensors_writer *writer, const char *key, int64_t value);
/* In the fewest digits that give it back. */
void ts_state_declare_real(ts_safetensors_writer *writer, const char *key, double value);
/* TS_FORMAT where there is none, or one below 0. */
ts_status ts_state_integer(const ts_safetensors *file, const char *key, int64_t *value);
/* NaN where there is none. */
double ts_state_real(const ts_safetensors *file, const char *key);

/* "data": the checksum of the data, in 16 hexadecimal digits. */
void ts_state_data_text(const ts_dataset *dataset, char text[17]);
void ts_state_declare_data(ts_safetensors_writer *writer, const ts_dataset *dataset);
/* The checksum in the file where it is of other images than these, else NULL: files from before it was stored
 * say nothing, and count as of these; what a mixture is stands in the configuration. */
const char *ts_state_other_data(const ts_safetensors *file, const ts_dataset *dataset);

#endif
