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

/* "FOLDER OF THE PROGRAM/libtstar_cuda.so" where that is a file, else "": the library path decides. */
static void module_beside(char path[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    const size_t room = slash ? PATH_MAX - (size_t)(slash + 1 - path) : 0;
    if (!slash || (size_t)snprintf(slash + 1, room, CUDA_MODULE) >= room || access(path, F_OK))
        *path = '\0';
}

/* Whether dlopen failed for want of the module itself, not of a library that it needs. */
static bool is_absent(const char *message)
{
    return !strncmp(message, CUDA_MODULE ": cannot open", strlen(CUDA_MODULE ": cannot open"));
}

/* The module takes ts_error and its like from what this code stands in.  Where that is a library which was
 * loaded for itself alone, as Python does it, the module sees them only once the library is opened again for
 * all; of a program, which shows its symbols anyway, this does nothing. */
static void show_symbols(void)
{
    Dl_info self;
    if (dladdr(&ts_cpu_kernels, &self) && self.dli_fname)
        dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
}

/* The module's table.  It stays loaded for the life of the process: devices hold its table.  `broken` tells
 * that there is a module and it does not load. */
static ts_status load_cuda(const ts_kernels **kernels, bool *broken)
{
    char path[PATH_MAX];
    module_beside(path);
    *broken = false;
    show_symbols();
    /* One that is there but does not load is the error to report. */
    void *module = dlopen(*path ? path : CUDA_MODULE, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        const char *message = dlerror();
        *broken = !is_absent(message);
        return *broken ? ts_error(TS_UNSUPPORTED, "the CUDA device does not load: %s", message)
                       : ts_error(TS_UNSUPPORTED, "this build has no CUDA device: there is no " CUDA_MODULE
                                                  " (cmake -D TSTAR_CUDA=ON)");
    }
    module_entry *entry;
    *(void **)&entry = dlsym(module, "ts_cuda_kernels");
    *kernels = entry ? entry() : NULL;
    return *kernels ? NULL : ts_error(TS_UNSUPPORTED, CUDA_MODULE " is not a module of this program");
}

static ts_status open_cuda(const ts_device_options *options, ts_device **device, bool *broken)
{
    const ts_kernels *kernels;
    TS_TRY(load_cuda(&kernels, broken));
    return kernels->open(options, device);
}

/* A GPU, or else the CPU, which says why where a GPU could have been expected: there is a card, or a module
 * that does not load. */
static ts_status open_auto(const ts_device_options *options, ts_device **device)
{
    bool broken;
    ts_status why = open_cuda(options, device, &broken);
    if (!why)
        return NULL;
    ts_status status = ts_cpu_kernels.open(options, device);
    if (!status && (broken || !access("/dev/nvidiactl", F_OK)))
        snprintf((*device)->fallback_reason, sizeof(*device)->fallback_reason, "%s", ts_status_message(why));
    ts_status_free(why);
    return status;
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
    bool broken;
    *device = NULL;
    if (strcmp(name, "cpu") == 0)
        return ts_cpu_kernels.open(&wanted, device);
    if (strcmp(name, "auto") == 0)
        return open_auto(&wanted, device);
    if (strncmp(name, "cuda:", 5) == 0)
        wanted.index = parse_index(name + 5);
    if ((strcmp(name, "cuda") == 0 || strncmp(name, "cuda:", 5) == 0) && wanted.index >= 0)
        return ts_context(open_cuda(&wanted, device, &broken), "--device %s", name);
    return ts_error(TS_INVALID, "--device %s: unknown device, expected cpu, cuda, cuda:INDEX or auto", name);
}

ts_status ts_device_libraries(const char *name, char *text, size_t size)
{
    const ts_kernels *kernels = &ts_cpu_kernels;
    bool broken;
    if (strcmp(name, "cpu"))
        TS_TRY(load_cuda(&kernels, &broken));
    *text = '\0';
    if (kernels->libraries)
        kernels->libraries(text, size);
    return NULL;
}

void ts_device_close(ts_device *device)
{
    if (device)
        device->k->close(device);
}
