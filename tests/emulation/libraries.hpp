/* What libraries.cpp needs beside the device. */
#ifndef TS_TESTS_LIBRARIES_HPP
#define TS_TESTS_LIBRARIES_HPP

#include "kernels/kernels.h"

/* Before every call that a library would choose a plan or an algorithm for; `name` says which. */
ts_status emulated_choose(ts_device *device, const char *name);

#endif
