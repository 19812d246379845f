/*
 * A shim for LD_PRELOAD that makes the n-th call of a kind fail, from main on, in the program alone (what it
 * starts runs without).  The environment says what:
 *
 *   TSTAR_FAULT_CALL    open, write, sync, rename, close, fdopen, or memory (malloc, calloc, realloc,
 *                       aligned_alloc)
 *   TSTAR_FAULT_AT      which of these calls, from 1; 0: none
 *   TSTAR_FAULT_HOW     an error's name (EIO, ENOSPC, EINTR, ENOMEM; with a + behind it: this call and all
 *                       later ones), short (half of a write), kill (SIGKILL in the middle of the call)
 *   TSTAR_FAULT_UNDER   calls on files count whose path begins with this
 *   TSTAR_FAULT_COUNT   a file that gets the number of calls of the kind, in a line
 *
 * Memory counts where the program itself, the C library, or the libraries that read and write its files ask
 * for it: others (of threads and of linear algebra) end the process themselves when they get none.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 1024, RANGES = 16 };

static bool started;
static const char *kind, *under, *count_path;
static long at;
static int error; /* 0: short or kill */
static bool lasting, killing;
static atomic_long calls;
static bool watched[DESCRIPTORS];
static struct {
    uintptr_t begin, end;
} ranges[RANGES];
static int range_count;

#define REAL(name)                                                                                           \
    static __typeof__(name) *real;                                                                           \
    if (!real)                                                                                               \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* ---- the beginning and the end ---- */

static int note_range(struct dl_phdr_info *info, size_t size, void *unused)
{
    static const char *const names[] = {"libc.so", "libjansson", "libyaml", "libpng", "libz."};
    (void)size, (void)unused;
    bool counts = !*info->dlpi_name; /* the program */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        counts |= strstr(info->dlpi_name, names[i]) != NULL;
    for (int i = 0; counts && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || range_count == RANGES)
            continue;
        ranges[range_count].begin = info->dlpi_addr + p->p_vaddr;
        ranges[range_count++].end = info->dlpi_addr + p->p_vaddr + p->p_memsz;
    }
    return 0;
}

static int error_of(const char *how)
{
    static const struct {
        const char *name;
        int error;
    } errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"ENOMEM", ENOMEM}};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strncmp(how, errors[i].name, strlen(errors[i].name)))
            return errors[i].error;
    return 0;
}

static void begin(void)
{
    const char *how = getenv("TSTAR_FAULT_HOW"), *number = getenv("TSTAR_FAULT_AT");
    unsetenv("LD_PRELOAD");
    kind = getenv("TSTAR_FAULT_CALL");
    under = getenv("TSTAR_FAULT_UNDER");
    count_path = getenv("TSTAR_FAULT_COUNT");
    if (!kind || !how || !number || !under)
        return;
    at = strtol(number, NULL, 10);
    error = error_of(how);
    lasting = strchr(how, '+') != NULL;
    killing = !strcmp(how, "kill");
    dl_iterate_phdr(note_range, NULL);
    started = true;
}

static void end(void)
{
    char text[32];
    if (!started)
        return;
    started = false;
    const int length = snprintf(text, sizeof text, "%ld\n", (long)calls);
    const int fd = count_path ? open(count_path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd >= 0 && write(fd, text, (size_t)length) == length)
        close(fd);
}

static int (*real_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment)
{
    begin();
    atexit(end);
    return real_main(argc, argv, environment);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    REAL(__libc_start_main);
    real_main = main;
    return real(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* ---- whether a call fails ---- */

static bool is_due(const char *call)
{
    if (!started || strcmp(kind, call))
        return false;
    const long n = atomic_fetch_add(&calls, 1) + 1;
    return at > 0 && (n == at || (lasting && n > at));
}

/* Sets errno where the call is to fail. */
static bool fails(const char *call)
{
    if (!is_due(call))
        return false;
    if (killing)
        kill(getpid(), SIGKILL);
    errno = error;
    return error != 0;
}

static bool is_watched(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && watched[fd];
}

static bool is_under(const char *path)
{
    return started && !strncmp(path, under, strlen(under));
}

static int watch(int fd, const char *path)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        watched[fd] = is_under(path);
    return fd;
}

/* ---- files ---- */

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (is_under(path) && fails("open"))
        return -1;
    return watch(real(path, flags, mode), path);
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (is_under(path) && fails("open"))
        return -1;
    return watch(real(path, flags, mode), path);
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(fopen);
    if (is_under(path) && fails("open"))
        return NULL;
    FILE *file = real(path, mode);
    if (file)
        watch(fileno(file), path);
    return file;
}

FILE *fopen64(const char *path, const char *mode)
{
    return fopen(path, mode);
}

FILE *fdopen(int fd, const char *mode)
{
    REAL(fdopen);
    return is_watched(fd) && fails("fdopen") ? NULL : real(fd, mode);
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    return is_under(path) && fails("open") ? NULL : real(path);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    REAL(write);
    if (!is_watched(fd) || !is_due("write"))
        return real(fd, data, bytes);
    if (error) {
        errno = error;
        return -1;
    }
    const ssize_t half = real(fd, data, bytes > 1 ? bytes / 2 : bytes);
    if (killing)
        kill(getpid(), SIGKILL);
    return half;
}

/* What a stream has buffered is lost with the call.  (The C library restarts what is interrupted in a
 * stream.) */
int fflush(FILE *file)
{
    REAL(fflush);
    if (file && error != EINTR && is_watched(fileno(file)) && fails("write")) {
        const int kept = errno;
        __extension__ extern void __fpurge(FILE *);
        __fpurge(file);
        errno = kept;
        return EOF;
    }
    return real(file);
}

int truncate(const char *path, off_t length)
{
    REAL(truncate);
    return is_under(path) && fails("write") ? -1 : real(path, length);
}

int fsync(int fd)
{
    REAL(fsync);
    return is_watched(fd) && fails("sync") ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return is_under(to) && fails("rename") ? -1 : real(from, to);
}

/* Like Linux, closes what it then says could not be closed. */
int close(int fd)
{
    REAL(close);
    const bool failed = is_watched(fd) && fails("close");
    const int kept = errno;
    if (fd >= 0 && fd < DESCRIPTORS)
        watched[fd] = false;
    const int result = real(fd);
    if (!failed)
        return result;
    errno = kept;
    return -1;
}

int fclose(FILE *file)
{
    REAL(fclose);
    const int fd = fileno(file);
    const bool failed = error != EINTR && is_watched(fd) && fails("close");
    const int kept = errno;
    if (fd >= 0 && fd < DESCRIPTORS)
        watched[fd] = false;
    const int result = real(file);
    if (!failed)
        return result;
    errno = kept;
    return EOF;
}

/* ---- memory ---- */

/* glibc's own, which need no dlsym (it allocates).  Sanitizers bring theirs. */
#ifndef TSTAR_SANITIZED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static bool memory_fails(const void *caller)
{
    if (!started)
        return false;
    bool counts = false;
    for (int i = 0; i < range_count; i++)
        counts |= (uintptr_t)caller >= ranges[i].begin && (uintptr_t)caller < ranges[i].end;
    return counts && fails("memory");
}

void *malloc(size_t bytes)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memory_fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, bytes);
}
#endif
