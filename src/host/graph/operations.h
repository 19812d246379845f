/*
 * What the builders of operations share.
 */
#ifndef TS_GRAPH_OPERATIONS_H
#define TS_GRAPH_OPERATIONS_H

#include "graph/tape.h"

/* Whether building may go on and these are tensors of the graph. */
bool tape_ready(ts_graph *graph, const char *operation, const ts_tensor *tensors, int count);
bool tape_same_shape(const tape_tensor *a, const tape_tensor *b);
/* Whether the parameter has `count` values; -1 passes if it is optional. */
bool tape_check_vector(ts_graph *graph, const char *operation, ts_param param, int count, bool optional);
/* Whether a tensor is an activation. */
bool tape_check_activation(ts_graph *graph, const char *operation, ts_tensor x);

/* Whether a residual, if there is one, has the shape [s[0],s[1],s[2],channels] of what it is added to. */
bool tape_check_residual(ts_graph *graph, const char *operation, ts_tensor residual, const int s[3],
                         int channels);

/* A node around the steps that are appended between the two calls.  Its inputs are whole: concatenations
 * among them are written first. */
void tape_open(ts_graph *graph, tape_operation operation, const ts_tensor *in, int inputs, ts_tensor out);
void tape_param(ts_graph *graph, int slot, ts_param param);
void tape_close(ts_graph *graph);

#endif
