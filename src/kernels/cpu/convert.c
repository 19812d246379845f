/* Activations of this device are float32: conversion is a copy. */
#include <string.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_convert(ts_device *device, const ts_convert *a)
{
    (void)device;
    memmove(a->y, a->x, (size_t)a->count * sizeof(float));
    return NULL;
}
