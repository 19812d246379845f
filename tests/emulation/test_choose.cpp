/*
 * Which algorithms are chosen, at what cost, and that what is kept of them is never trusted: the real
 * choosing against made-up libraries whose kernels take a known time on a made-up clock.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <map>
#include <string>
#include <vector>
#include "expect.hpp"
#include "kernels/cuda/vendor/libraries.h"
#include "made_up_card.hpp"

static void must(ts_status status, const char *what)
{
    if (status)
        printf("FAIL %s: %s\n", what, ts_status_message(status));
    failures += status != NULL;
    ts_status_free(status);
}

/* ---- a device on the made-up card ---- */

static ts_device *open_device()
{
    ts_cuda_device *const d = static_cast<ts_cuda_device *>(calloc(1, sizeof *d));
    strcpy(d->base.description, "Made-up card, 16 MiB");
    d->base.activation = TS_BF16;
    return &d->base;
}

static void close_device(ts_device *device)
{
    ts_cuda_libraries_free(device);
    for (void *s : ts_cuda(device)->scratch)
        free(s);
    free(device);
    expect(card.plans == 0, "plans are left");
    expect(card.graphs == 0, "recordings are left");
}

static const ts_cuda_graph_key key = {TS_CUDA_CONV_WEIGHTS, 2, 4, 4, 8, 8, 1, 0, 0, 1, 0, 0, 1.0f,
                                      {3, 3, 1, 1, 1, 1}};
static char tensor[4];
static const ts_cuda_graph_data data = {tensor, tensor + 1, NULL, NULL, tensor + 2};

static std::string choices_of(ts_device *device)
{
    char *text = NULL;
    must(ts_cuda_algorithms_export(device, &text), "export");
    const std::string copy = text ? text : "";
    free(text);
    return copy;
}

/* The algorithm that the first run of a key on a new device ends with, -1 where it fails. */
static int chosen(const char *what, const std::string &import = "", std::string *kept = NULL)
{
    ts_device *device = open_device();
    if (!import.empty())
        must(ts_cuda_algorithms_import(device, import.c_str()), what);
    ts_status status = ts_cuda_graph_run(device, &key, &data);
    expect(status || card.added_to == tensor + 1, "the run itself does not add to what it should");
    const bool ran = !status;
    ts_status_free(status);
    expect(cudaGetLastError() == cudaSuccess,
           "an error of the library's attempts is left to the next launch");
    int which = -1;
    const std::map<int, int> before = card.runs;
    if (ran)
        must(ts_cuda_graph_run(device, &key, &data), what);
    for (const auto &r : card.runs)
        if (!before.count(r.first) || before.at(r.first) != r.second)
            which = r.first;
    if (kept)
        *kept = choices_of(device);
    close_device(device);
    return which;
}

/* ---- the tests ---- */

static void costs()
{
    std::vector<algorithm> many;
    for (int i = 0; i < 12; i++)
        many.push_back(good(100.0f - (float)(i < 6 ? i : i == 11 ? 50 : 0)));
    set(many);
    expect(chosen("the fastest of many") == 5, "not the fastest of the first eight");
    expect(!card.runs.count(8), "more than eight were timed");

    set({good(50, true), good(20, true), good(10, true)});
    expect(chosen("short calls") == 0 && card.compiled == 1, "more was compiled than short calls are worth");
    set({good(1000, true), good(900, true), good(800, true), good(100, true)});
    expect(chosen("long calls") == 2 && card.compiled == 3, "not the best of three compiled for long calls");
    set({good(1000), good(10, true), good(900)});
    expect(chosen("one at hand") == 2 && card.compiled == 0, "compiled though there is one at hand");
    set({good(1000, true), good(800, true), good(900), good(10, true)});
    expect(chosen("a better one predicted") == 1 && card.compiled == 2, "not what is predicted to be better");

    set({good(100), good(30000), good(90)});
    expect(chosen("a slow one") == 2 && card.runs[1] <= 2, "a slow one was run more than twice");
    set({good(5000), good(5100), good(5200), good(5300), good(5400), good(5500), good(5600), good(5700)});
    chosen("long ones");
    expect(card.clock < 8 * 35e3, "more than 35 ms for a candidate");
    set({good(5), good(6), good(4)});
    expect(chosen("shorter than a launch") == 2, "what the host adds decides");
    expect(run_count() < 3 * 40, "more than 40 runs of a short one");
}

static void failing_ones()
{
    algorithm out = good(1), unmade = good(1), greedy = good(1), unrecorded = good(1);
    out.runs = false;
    unmade.made = false;
    greedy.workspace = 2 << 20; /* of 16 */
    unrecorded.records = false;
    set({out, good(40), good(30)});
    expect(chosen("the first does not run") == 2, "one that does not run was in the way");
    set({good(30), out, unmade, greedy, unrecorded, good(20)});
    expect(chosen("some that are out") == 5, "not the fastest that can be recorded");
    set({unmade, greedy, good(30), good(20)});
    expect(chosen("the first two are out") == 3, "the rest was not looked at");
    set({out, out});
    expect(chosen("none runs") == -1, "a run without an algorithm");
    card.no_tuning_memory = true;
    set({good(40), good(30)});
    expect(chosen("no memory to time in") == 0, "without memory to time in, not the likely one");
    card.no_tuning_memory = false;

    /* what is recorded before it ever ran takes the likely one as it is */
    set({good(40), good(30)});
    ts_device *device = open_device();
    ts_cuda(device)->recording = true;
    must(ts_cuda_graph_run(device, &key, &data), "while recording");
    expect(run_count() == 1 && card.runs[0] == 1, "timed while recording");
    ts_cuda(device)->recording = false;
    expect(choices_of(device).find("graph") == std::string::npos, "what was not chosen is kept");
    close_device(device);
}

static ts_cuda_product product()
{
    ts_cuda_product p = {};
    p.m = p.n = p.k = 8;
    p.batch = 1;
    p.type = p.type_d = TS_BF16;
    p.row_a = p.row_b = p.row_d = 8;
    p.alpha = 1;
    p.a = tensor, p.b = tensor, p.d = tensor + 3;
    return p;
}

static int chosen_product(const std::string &import, std::string *kept)
{
    const ts_cuda_product p = product();
    ts_device *device = open_device();
    must(ts_cuda_algorithms_import(device, import.c_str()), "import");
    must(ts_cuda_multiply(device, &p), "product");
    expect(cudaGetLastError() == cudaSuccess, "an error of asking is left to the next launch");
    expect(card.added_to == tensor + 3, "the product is not where it should be");
    const std::map<int, int> before = card.runs;
    must(ts_cuda_multiply(device, &p), "product again");
    int which = -1;
    for (const auto &r : card.runs)
        if (!before.count(r.first) || before.at(r.first) != r.second)
            which = r.first;
    if (kept)
        *kept = choices_of(device);
    close_device(device);
    return which;
}

static std::string with(const std::string &text, const std::string &from, const std::string &to)
{
    std::string changed = text;
    const size_t at = changed.find(from);
    expect(at != std::string::npos, "the choices do not read as expected");
    return at == std::string::npos ? text : changed.replace(at, from.size(), to);
}

/* A kept choice holds although another is faster by now; mangled, it is as if nothing were kept. */
static void kept_ones()
{
    const std::vector<algorithm> first = {good(40), good(20), good(30)}, now = {good(10), good(20), good(30)};
    std::string graph, products;
    set(first);
    expect(chosen("to be kept", "", &graph) == 1, "not the fastest");
    set(first);
    expect(chosen_product("", &products) == 1, "not the fastest product");
    set(now);
    expect(chosen("kept", graph) == 1 && run_count() == 2, "a kept choice is timed again");
    set(now);
    expect(chosen_product(products, NULL) == 1 && run_count() == 2, "a kept product is timed again");

    const std::string heading = graph.substr(0, graph.find('\n') + 1);
    std::vector<std::string> mangled = {heading,
                                        "graph",
                                        with(graph, "41 2=7", ""),
                                        with(graph, "41 2=7", "41 2="),
                                        with(graph, "41 2=7", "77777777777777777777777 1=1"),
                                        with(graph, "41 2=7", "41 2=7 3=1"),
                                        with(graph, "41 2=7", "\xff\x01"),
                                        with(graph, ": 41", " 41"),
                                        with(graph, "91900", "91901"),
                                        with(graph, "bfloat16", "float32")};
    for (const std::string &text : mangled) {
        set(now);
        expect(chosen("mangled", text) == 0, "a mangled choice is believed");
    }
    for (size_t cut = 1; cut < graph.size() - 1; cut++) {
        set(now);
        chosen("cut off", graph.substr(0, cut));
    }
    const std::string word = "0000000000abcd01";
    for (const char *other :
         {"ffffffffffffffff", "-000000000abcd01", "0x00000000abcd01", "000000000000000g", ""}) {
        set(now);
        expect(chosen_product(with(products, word, other), NULL) == 0, "a mangled product is believed");
    }

    /* what this process did not ask for stays in the text */
    std::string both;
    set(now);
    chosen_product(graph, &both);
    expect(both.find("graph ") != std::string::npos && both.find("product ") != std::string::npos,
           "an earlier choice is lost");
    set(now);
    expect(chosen("kept through another process", both) == 1, "an earlier choice is changed");
}

/* A text has a section for every kind of device. */
static void kept_for_others()
{
    const std::string other = "tstar choices: another card\ngraph 1 2 3: 4\nproduct 5: 6\n";
    std::string mine, both, again;
    set({good(40), good(20), good(30)});
    chosen("to be kept", "", &mine);
    for (const std::string &text : {other + mine, mine + other, "no heading\n" + other + mine + mine}) {
        set({good(10), good(20), good(30)});
        expect(chosen("among others", text, &both) == 1, "one's own section is not found among others");
        expect(both == mine + other, "the section of another device is not kept as it was");
    }
    set({good(10), good(20), good(30)});
    expect(chosen("another's alone", other, &again) == 0, "another device's choice is taken");
    expect(again.find(other) != std::string::npos, "another device's section is lost");
}

int main()
{
    costs();
    failing_ones();
    kept_ones();
    kept_for_others();
    printf("%d failures\n", failures);
    return failures > 0;
}
