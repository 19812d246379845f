/*
 * How threads wait for each other.
 *
 * Between two parallel loops libgomp's threads spin for about a millisecond before they sleep, OpenBLAS's
 * for tens of them. Where other programs want the same processors this makes training many times slower: a
 * thread that spins keeps the one that it waits for from running. Threads that sleep at once (a passive
 * policy) should cost some microseconds a loop where the machine is idle, which was not measured. Measured
 * on two cores with five to eight other processes, median milliseconds a step of bench train with two
 * threads, two runs each:
 *
 *                                  libgomp's own     1000 turns      passive
 *     configs/digits.yaml            62, 2280         48,   64        30,  32
 *     configs/bench/digits8.yaml   1136, 2295        166,  245       140, 208
 *     configs/bench/mnist28.yaml   2160, 3468        925, 1073     1061, 924
 *
 * libgomp reads GOMP_SPINCOUNT and OMP_WAIT_POLICY, OpenBLAS reads OPENBLAS_NUM_THREADS, in functions that
 * run before main when the library is loaded, and neither has a call to change it later. (A function in the
 * program's .preinit_array runs early enough but cannot add to the environment, which the C library sets up
 * after it.) So the program sets them and starts itself again, in the same process: execve keeps its
 * number, open files and working directory. OpenBLAS gets one thread because matrix products are shared out
 * over the device's threads by oneDNN and OpenMP (kernels/cpu/device.c); without this it keeps a pool that
 * never works.
 *
 * A user who set one of the first two has decided how threads wait: nothing is changed then, which also
 * ends the restart.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include "cli/cli.h"

void cli_set_waiting(char **argv)
{
    char program[PATH_MAX];
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = '\0';
    if (setenv("OMP_WAIT_POLICY", "passive", 1) || setenv("OPENBLAS_NUM_THREADS", "1", 0))
        return;
    execv(program, argv); /* if this fails, the work is only slower */
}
