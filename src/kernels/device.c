/*
 * Opening a device by name.  A GPU's table lives in a module of its own, loaded when asked for, so the
 * program starts and runs where there is no CUDA at all.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "kernels/kernels.h"

#define CUDA_MODULE "libtstar_cuda.so"

typedef const ts_kernels *module_entry(void);

/* Loads the module beside the program, or else from the library path.  It stays loaded for the life of the
 * process: devices hold its table. */
static void *load_cuda_module(void)
{
    char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 0) {
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        const size_t room = sizeof path - (size_t)(slash + 1 - path);
        if ((size_t)snprintf(slash + 1, room, CUDA_MODULE) < room)
            /* One that is there but does not load is the error to report. */
            if (access(path, F_OK) == 0)
                return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return dlopen(CUDA_MODULE, RTLD_NOW | RTLD_LOCAL);
}

static ts_status open_cuda(const char *name, const ts_device_options *options, ts_device **device)
{
    void *module = load_cuda_module();
    if (!module)
        return ts_error(TS_UNSUPPORTED, "--device %s: no CUDA device in this installation (%s)", name,
                        dlerror());
    module_entry *entry;
    *(void **)&entry = dlsym(module, "ts_cuda_kernels");
    const ts_kernels *kernels = entry ? entry() : NULL;
    if (!kernels)
        return ts_error(TS_UNSUPPORTED, "--device %s: " CUDA_MODULE " is not a module of this program", name);
    return ts_context(kernels->open(options, device), "--device %s", name);
}

/* The i of "cuda:i"; -1 unless it is a plain decimal number. */
static int parse_index(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    const long index = strtol(text, &end, 10);
    return *end || index > 1023 ? -1 : (int)index;
}

ts_status ts_device_open(const char *name, const ts_device_options *options, ts_device **device)
{
    ts_device_options wanted = *options;
    *device = NULL;
    if (strcmp(name, "cpu") == 0)
        return ts_cpu_kernels.open(&wanted, device);
    if (strcmp(name, "auto") == 0) {
        ts_status status = open_cuda("cuda", &wanted, device);
        if (!status)
            return NULL;
        ts_status_free(status);
        return ts_cpu_kernels.open(&wanted, device);
    }
    if (strncmp(name, "cuda:", 5) == 0)
        wanted.index = parse_index(name + 5);
    if ((strcmp(name, "cuda") == 0 || strncmp(name, "cuda:", 5) == 0) && wanted.index >= 0)
        return open_cuda(name, &wanted, device);
    return ts_error(TS_INVALID, "--device %s: unknown device, expected cpu, cuda, cuda:INDEX or auto", name);
}

void ts_device_close(ts_device *device)
{
    if (device)
        device->k->close(device);
}
