/* The scheduler of the emulated grid. */
#include "simt.hpp"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <map>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMT_ASAN 1
#endif
#endif
#ifdef SIMT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* ---- fibers ---- */

#if defined(__x86_64__)
/* Saves the registers that a call preserves on the stack, and the stack's address in *save; takes
 * up `load`. */
extern "C" void simt_switch(void **save, void *load);
asm(R"(
.text
.globl simt_switch
.type simt_switch, @function
simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size simt_switch, . - simt_switch
)");
typedef void *registers;
#else
#include <ucontext.h>
typedef ucontext_t registers;
#endif

namespace simt
{
place here;

namespace
{
const size_t STACK = 256 << 10, PAGE = 4096, WARP = 32;

enum state { READY, AT_WARP, AT_BARRIER, DONE };

struct fiber {
    registers saved;
    char *stack;
    uint3 thread;
    state at;
    /* of the warp operation or barrier it waits at */
    operation kind;
    uint32_t mask, votes;
    unsigned source;
    unsigned char value[16], result[16];
    const char *file;
    int line;
};

struct memory {
    void *start;
    size_t bytes;
};

registers scheduler;
std::vector<fiber> fibers;
size_t current, threads;
void (*body)(void *);
void *body_context;
order lanes = FORWARD;
uint64_t seed;
std::map<const void *, memory> shared_blocks;
size_t shared_bytes;
memory dynamic;
#ifdef SIMT_ASAN
const void *main_stack;
size_t main_stack_bytes;
void *main_fake;
#endif

[[noreturn]] void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "emulated grid: block %u,%u,%u: ", here.block.x, here.block.y, here.block.z);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    abort();
}

void transfer(registers *save, registers *load)
{
#if defined(__x86_64__)
    simt_switch(save, *load);
#else
    swapcontext(save, load);
#endif
}

void leave_fiber()
{
    fiber &f = fibers[current];
#ifdef SIMT_ASAN
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, main_stack, main_stack_bytes);
#endif
    transfer(&f.saved, &scheduler);
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(fake, &main_stack, &main_stack_bytes);
#endif
}

void fiber_main()
{
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_bytes);
#endif
    for (;;) {
        body(body_context);
        fibers[current].at = DONE;
        leave_fiber();
    }
}

void resume(size_t i)
{
    fiber &f = fibers[i];
    current = i;
    here.thread = f.thread;
    here.lane = (unsigned)(i % WARP);
#ifdef SIMT_ASAN
    __sanitizer_start_switch_fiber(&main_fake, f.stack, STACK);
#endif
    transfer(&scheduler, &f.saved);
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(main_fake, nullptr, nullptr);
#endif
}

void make_fiber(fiber &f)
{
    /* below the stack a page that faults when it overflows */
    void *const pages = mmap(nullptr, PAGE + STACK, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages, PAGE, PROT_NONE) != 0)
        die("no memory for the stack of a thread");
    f.stack = (char *)pages + PAGE;
#if defined(__x86_64__)
    void **top = (void **)(f.stack + STACK - 16);
    *--top = nullptr; /* where fiber_main would return to */
    *--top = (void *)fiber_main;
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    f.saved = top;
#else
    getcontext(&f.saved);
    f.saved.uc_stack.ss_sp = f.stack;
    f.saved.uc_stack.ss_size = STACK;
    f.saved.uc_link = nullptr;
    makecontext(&f.saved, fiber_main, 0);
#endif
}

/* ---- order ---- */

uint64_t draw()
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Calls f with 0 .. count - 1 in the wanted order. */
template <class F> void in_order(uint64_t count, F f)
{
    uint64_t stride = 1, offset = 0;
    for (uint64_t i = 0; lanes == FORWARD && i < count; i++)
        f(i);
    if (lanes == FORWARD)
        return;
    if (lanes == SHUFFLED && count > 1) {
        for (bool coprime = false; !coprime;) {
            stride = 1 + draw() % count;
            uint64_t a = stride, b = count;
            while (b) {
                const uint64_t rest = a % b;
                a = b;
                b = rest;
            }
            coprime = a == 1;
        }
        offset = draw() % count;
    }
    for (uint64_t i = 0; i < count; i++)
        f(lanes == REVERSED ? count - 1 - i : (uint64_t)(((unsigned __int128)i * stride + offset) % count));
}

/* ---- warp operations ---- */

void complete(size_t first, uint32_t mask)
{
    uint32_t votes = 0;
    for (size_t k = 0; k < WARP; k++)
        if (mask >> k & 1 && fibers[first + k].value[0])
            votes |= 1u << k;
    for (size_t k = 0; k < WARP; k++) {
        if (!(mask >> k & 1))
            continue;
        fiber &f = fibers[first + k];
        if (f.kind == SHUFFLE) {
            if (!(mask >> f.source & 1))
                die("%s:%d: lane %zu takes the value of lane %u, which is not in mask %08x", f.file, f.line,
                    k, f.source, mask);
            memcpy(f.result, fibers[first + f.source].value, sizeof f.result);
        }
        f.votes = votes;
        f.at = READY;
    }
}

/* Releases the groups of lanes that have all arrived; whether there was one. */
bool release_warp(size_t first)
{
    bool released = false, waiting = false;
    for (size_t k = 0; k < WARP; k++) {
        const fiber &f = fibers[first + k];
        if (f.at != AT_WARP)
            continue;
        waiting = true;
        if (!(f.mask >> k & 1))
            die("%s:%d: lane %zu is not in its own mask %08x", f.file, f.line, k, f.mask);
        bool whole = true;
        for (size_t j = 0; j < WARP; j++) {
            const fiber &g = fibers[first + j];
            if (f.mask >> j & 1)
                whole = whole && g.at == AT_WARP && g.mask == f.mask && g.kind == f.kind && g.line == f.line;
        }
        if (whole) {
            complete(first, f.mask);
            released = true;
        }
    }
    if (waiting && !released)
        for (size_t k = 0; k < WARP; k++) {
            const fiber &f = fibers[first + k];
            static const char *const states[] = {"runs", "waits in its warp", "waits at a barrier", "ended"};
            fprintf(stderr, "thread %zu %s (%s:%d, mask %08x)\n", first + k, states[f.at],
                    f.file ? f.file : "", f.line, f.mask);
        }
    if (waiting && !released)
        die("a warp operation waits for lanes that do not come");
    return released;
}

void run_warp(size_t first)
{
    do
        in_order(WARP, [=](uint64_t k) {
            if (fibers[first + k].at == READY)
                resume(first + k);
        });
    while (release_warp(first));
}

/* ---- blocks ---- */

/* Bytes 0xFF: NaN as float and double, -1 as an integer. */
void poison(const memory &m)
{
    memset(m.start, 0xFF, m.bytes);
}

void release_barrier()
{
    const fiber *first = nullptr;
    for (size_t i = 0; i < threads; i++) {
        fiber &f = fibers[i];
        if (f.at != AT_BARRIER)
            continue;
        if (first && (f.line != first->line || strcmp(f.file, first->file) != 0))
            die("threads wait at different barriers: %s:%d and %s:%d", first->file, first->line, f.file,
                f.line);
        first = first ? first : &f;
        f.at = READY;
    }
}

void run_block()
{
    for (auto &entry : shared_blocks)
        poison(entry.second);
    if (dynamic.start)
        poison(dynamic);
    for (size_t i = 0; i < threads; i++)
        fibers[i].at = READY;
    for (bool done = false; !done;) {
        in_order(threads / WARP, [](uint64_t w) { run_warp(w * WARP); });
        done = true;
        for (size_t i = 0; i < threads; i++)
            done = done && fibers[i].at == DONE;
        release_barrier();
    }
}

memory take(size_t bytes)
{
    memory m = {nullptr, bytes};
    if (posix_memalign(&m.start, 16, bytes ? bytes : 1) != 0)
        die("no memory for %zu bytes of shared memory", bytes);
    poison(m);
    return m;
}
} // namespace

void set_order(order wanted)
{
    lanes = wanted;
}

void block_barrier(const char *file, int line)
{
    fiber &f = fibers[current];
    f.at = AT_BARRIER;
    f.file = file;
    f.line = line;
    leave_fiber();
}

uint32_t warp_operation(operation kind, uint32_t mask, unsigned source, void *value, size_t bytes,
                        const char *file, int line)
{
    fiber &f = fibers[current];
    f.at = AT_WARP;
    f.kind = kind;
    f.mask = mask;
    f.source = source;
    f.file = file;
    f.line = line;
    memset(f.value, 0, sizeof f.value);
    if (bytes)
        memcpy(f.value, value, bytes);
    leave_fiber();
    if (kind == SHUFFLE)
        memcpy(value, f.result, bytes);
    return f.votes;
}

void *shared_memory(const void *tag, size_t bytes)
{
    auto found = shared_blocks.find(tag);
    if (found == shared_blocks.end()) {
        shared_bytes += bytes;
        if (shared_bytes > 227 << 10)
            die("%zu bytes of shared memory: a block has at most 227 KiB", shared_bytes);
        found = shared_blocks.emplace(tag, take(bytes)).first;
    }
    return found->second.start;
}

void *dynamic_shared()
{
    return dynamic.start;
}

void run_grid(dim3 grid, dim3 block, size_t shared, void (*run)(void *), void *context)
{
    threads = (size_t)block.x * block.y * block.z;
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    if (threads == 0 || threads > 1024 || threads % WARP != 0)
        die("a block of %zu threads", threads);
    if (blocks == 0 || grid.x > 0x7FFFFFFFu || grid.y > 65535 || grid.z > 65535)
        die("a grid of %u x %u x %u blocks", grid.x, grid.y, grid.z);
    if (fibers.empty())
        fibers.resize(1024);
    for (size_t i = 0; i < threads; i++) {
        if (!fibers[i].stack)
            make_fiber(fibers[i]);
        const unsigned k = (unsigned)i;
        fibers[i].thread = {k % block.x, k / block.x % block.y, k / block.x / block.y};
    }
    body = run;
    body_context = context;
    seed = 0x9E3779B97F4A7C15u;
    here.block_size = block;
    here.grid_size = grid;
    shared_bytes = shared;
    dynamic = take(shared);
    in_order(blocks, [=](uint64_t b) {
        const uint64_t row = b / grid.x;
        here.block = {(unsigned)(b % grid.x), (unsigned)(row % grid.y), (unsigned)(row / grid.y)};
        run_block();
    });
    for (auto &entry : shared_blocks)
        free(entry.second.start);
    shared_blocks.clear();
    free(dynamic.start);
    dynamic = {nullptr, 0};
}
} // namespace simt
