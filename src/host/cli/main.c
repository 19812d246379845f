/*
 * tstar: score-based diffusion with a short diffusion time.  Finds the command and hands over.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "cli/cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *about;
} commands[] = {
    {"sweep", cli_sweep, "CONFIG", "chart what each diffusion time T costs and buys"},
    {"train", cli_train, "CONFIG --out RUN", "train the score network"},
    {"fit", cli_fit, "RUN --T 0.4", "fit the auxiliary density at T"},
    {"sample", cli_sample, "RUN --T 0.4", "draw samples, starting at T"},
    {"elbo", cli_elbo, "RUN --T 0.4", "estimate the evidence lower bound"},
    {"report", cli_report, "RUN", "draw the charts and the page of a sweep anew"},
    {"bench", cli_bench, "train|sample|ops CONFIG", "measure speed and memory"},
    {"info", cli_info, "", "version, devices, keys of a configuration"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(void)
{
    printf("tstar " TSTAR_VERSION ": how long does a diffusion need to be?\n\n"
           "Trains score-based diffusion models, fits an auxiliary density at a short diffusion time T, "
           "samples from\n"
           "it by reverse SDE and ODE, bounds the likelihood, and charts the trade-off over T.\n\n"
           "Usage: tstar COMMAND ... (tstar COMMAND --help for its options)\n\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-7s %-24s %s\n", commands[i].name, commands[i].arguments, commands[i].about);
    printf("\nA first chart in a few minutes: tstar sweep configs/digits.yaml\n");
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (argc == 1 || !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help();
        return argc == 1 ? 2 : 0;
    }
    if (!strcmp(name, "--version")) {
        puts("tstar " TSTAR_VERSION);
        return 0;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(name, commands[i].name) && commands[i].run)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "tstar: unknown command %s (see tstar --help)\n", name);
    return 2;
}

/* A result that did not reach its file, on a full disk say, must not pass for one that did. */
static int finish(int status)
{
    errno = 0;
    if (!fflush(stdout) && !ferror(stdout))
        return status;
    fprintf(stderr, "tstar: standard output: cannot write: %s\n", errno ? strerror(errno) : "write error");
    return status ? status : 2;
}

int main(int argc, char **argv)
{
    const int status = finish(run(argc, argv));
    struct rlimit space;
    /* Where addresses are short, OpenBLAS's threads try for ever to allocate, and its exit waits for them. */
    if (!getrlimit(RLIMIT_AS, &space) && space.rlim_cur != RLIM_INFINITY && !fflush(NULL))
        _exit(status);
    return status;
}
