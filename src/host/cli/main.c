/*
 * tstar: score-based diffusion with a short diffusion time.  Finds the command and hands over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "cli/cli.h"

const cli_command_row cli_commands[] = {
    {&cli_sweep_usage, cli_sweep, "CONFIG", "chart what each diffusion time T costs and buys"},
    {&cli_train_usage, cli_train, "CONFIG --out RUN", "train the score network"},
    {&cli_fit_usage, cli_fit, "RUN --T 0.4", "fit the auxiliary density at T"},
    {&cli_sample_usage, cli_sample, "RUN --T 0.4", "draw samples, starting at T"},
    {&cli_elbo_usage, cli_elbo, "RUN --T 0.4", "estimate the evidence lower bound"},
    {&cli_nll_usage, cli_nll, "RUN --T 0.4", "compute the likelihood by the ODE"},
    {&cli_quality_usage, cli_quality, "A B", "how far two sets of images are apart: FID and others"},
    {&cli_report_usage, cli_report, "RUN", "draw the charts and the page of a sweep anew"},
    {&cli_advise_usage, cli_advise, "RUN --nfe 50", "the best T, start, sampler and steps for a budget"},
    {&cli_import_usage, cli_import, "CONFIG WEIGHTS --out RUN", "a run of weights trained elsewhere"},
    {&cli_export_usage, cli_export, "RUN --out FILE", "a run's weights for other programs"},
    {&cli_score_usage, cli_score, "RUN --in X --out NET", "the network's outputs at inputs in a file"},
    {&cli_bench_usage, cli_bench, "train|sample|ops CONFIG", "measure speed and memory"},
    {&cli_info_usage, cli_info, "", "version, devices, keys of a configuration"},
    {NULL, NULL, NULL, NULL},
};
enum { COMMANDS = sizeof cli_commands / sizeof *cli_commands - 1 };

static void print_help(void)
{
    printf(
        "tstar " TSTAR_VERSION ": how long does a diffusion need to be?\n\n"
        "Trains score-based diffusion models, fits an auxiliary density at a short diffusion time T, samples from\n"
        "it by reverse SDE and ODE, bounds the likelihood, and charts the trade-off over T.\n"
        "\nUsage: tstar COMMAND ... (tstar COMMAND --help for its options)\n\n");
    for (const cli_command_row *row = cli_commands; row->usage; row++)
        printf("  %-7s %-24s %s\n", row->usage->name, row->example, row->about);
    printf("\nA first chart in a few minutes: tstar sweep configs/digits.yaml\n");
}

static int refuse(const char *name)
{
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++)
        names[i] = cli_commands[i].usage->name;
    const char *near = ts_closest_word(&(ts_words){COMMANDS, names}, name);
    fprintf(stderr, "tstar: unknown command %s%s%s%s (see tstar --help)\n", name,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return 2;
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
    if (!strcmp(name, "--documents") && argc == 3) /* for the build */
        return cli_write_documents(argv[2]);
    for (const cli_command_row *row = cli_commands; row->usage; row++)
        if (!strcmp(name, row->usage->name)) {
            if (row->run != cli_info) /* which computes nothing */
                cli_set_waiting(argv);
            return row->run(argc - 1, argv + 1);
        }
    return refuse(name);
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

/* Opens /dev/null for whichever of stdin, stdout and stderr is closed, so that no file of a run gets its
 * number and what is printed there. */
static void open_standard_files(void)
{
    /* open takes the lowest number that is free */
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
        if (fcntl(file, F_GETFD) < 0 && open("/dev/null", file == STDIN_FILENO ? O_RDONLY : O_WRONLY) != file)
            _exit(1);
}

int main(int argc, char **argv)
{
    open_standard_files();
    const int status = finish(run(argc, argv));
    struct rlimit space;
    /* Where addresses are short, OpenBLAS's threads try for ever to allocate, and its exit waits for them. */
    if (!getrlimit(RLIMIT_AS, &space) && space.rlim_cur != RLIM_INFINITY && !fflush(NULL))
        _exit(status);
    return status;
}
