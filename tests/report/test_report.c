/*
 * Image grids, results as CSV and JSON, charts, and the page, on made-up results.  What foreign results may
 * not do is in hostile.c, what the page says of which numbers in sentences.c.
 *
 * To add a case, fill results as made_up.h does, store them with run_folder, make the report, read the files,
 * and list the test in main.
 */
#include "report_test.h"

#include <png.h>
#include <unistd.h>

#include "base/file.h"
#include "report/png.h"

/* ---- PNG ---- */

/* Three 2x2 images in two columns at zoom 3 with 2-pixel separators: 18x18 pixels. */
static void grid_pixels(void **state)
{
    (void)state;
    const float x[12] = {-1, 1, 0, NAN, 5, -7, 0.5f, -0.5f, 1, 1, 1, 1};
    must(ts_png_grid(path_of("grid.png"), x, 3, 2, 2, 1, 2, 3));
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path_of("grid.png")));
    assert_int_equal(image.width, 18);
    assert_int_equal(image.height, 18);
    image.format = PNG_FORMAT_GRAY;
    uint8_t pixels[18 * 18];
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    /* the middles of the enlarged pixels; -1 is 0, 0 is 127.5 rounded to even, 1 is 255 */
    const uint8_t expected[2][4] = {{0, 255, 255, 0}, {128, 0, 191, 64}};
    const int middle[4] = {3, 6, 11, 14};
    for (int row = 0; row < 2; row++)
        for (int column = 0; column < 4; column++)
            assert_int_equal(pixels[middle[row] * 18 + middle[column]], expected[row][column]);
    assert_int_equal(pixels[0], 236);            /* the frame */
    assert_int_equal(pixels[3 * 18 + 8], 236);   /* between two images */
    assert_int_equal(pixels[11 * 18 + 11], 236); /* where a fourth image would be */
    assert_int_equal(pixels[11 * 18 + 3], 255);
}

static void grid_of_colours(void **state)
{
    (void)state;
    const float x[3] = {-1, 0.2f, 1};
    unsigned char *png;
    size_t size;
    must(ts_png_encode(x, 1, 1, 1, 3, 0, 0, &png, &size));
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&image, png, size));
    assert_int_equal(image.width, 44);
    image.format = PNG_FORMAT_RGB;
    uint8_t pixels[44 * 44 * 3];
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    const uint8_t expected[3] = {0, 153, 255};
    assert_memory_equal(pixels + (20 * 44 + 20) * 3, expected, 3);
    free(png);
    expect_error(ts_png_encode(x, 1, 1, 1, 2, 0, 0, &png, &size), TS_INVALID, "2 channels");
    expect_error(ts_png_grid(path_of("no/such.png"), x, 1, 1, 1, 3, 0, 0), TS_NOT_FOUND, "such.png");
}

/* ---- results ---- */

static void expect_table(const char *name, const char *const *columns, int lines_expected)
{
    char *text = content_of(name), header[2048];
    snprintf(header, sizeof header, ",%.*s,", (int)strcspn(text, "\r\n"), text);
    for (; *columns; columns++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, ",%s,", *columns);
        assert_int_equal(count_of(header, wanted), 1);
    }
    /* every line has as many fields as the header */
    const int commas = count_of(header, ",") - 2;
    int lines = 0;
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        assert_int_equal(count_of(line, ","), commas);
        lines++;
    }
    assert_int_equal(lines, 1 + lines_expected);
    free(text);
}

static void csv_columns(void **state)
{
    (void)state;
    static const char *const bound[] =
        {"T",   "start",    "score",      "elbo_nats",      "elbo_ci95_nats",
         "bpd", "bpd_ci95", "prior_nats", "diffusion_nats", "reconstruction_nats",
         NULL},
                             *const samples[] = {"T",
                                                 "start",
                                                 "score",
                                                 "sampler",
                                                 "nfe",
                                                 "seconds_per_image",
                                                 "seconds_per_image_ci95",
                                                 "sliced_wasserstein",
                                                 "sliced_wasserstein_ci95",
                                                 "frechet",
                                                 "frechet_ci95",
                                                 NULL};
    ts_results r;
    made_up_results(false, &r);
    must(ts_results_write_csv(&r, path_of(".")));
    expect_table("bound.csv", bound, 6 * 2);
    expect_table("samples.csv", samples, 6 * 2 * 2);
    expect_table("sweep.csv", bound, 6 * 2 * 2);
    expect_table("sweep.csv", samples, 6 * 2 * 2);
    ts_results_release(&r);
}

/* README.md names every column; half widths go without saying. */
static void read_me_names(void *readme, const char *name, const char *meaning)
{
    char quoted[80];
    snprintf(quoted, sizeof quoted, "`%s`", name);
    assert_true(*meaning);
    if (!strstr(name, "_ci95") && !strstr(readme, quoted))
        fail_msg("README.md does not name the column %s", name);
}

static void columns_are_told(void **state)
{
    (void)state;
    char *readme;
    size_t bytes;
    must(ts_file_read(SOURCE_DIR "/README.md", 1 << 20, &readme, &bytes));
    ts_results_columns(read_me_names, readme);
    free(readme);
}

static void json_round_trip(void **state)
{
    (void)state;
    for (int mixture = 0; mixture < 2; mixture++) {
        ts_results r, again;
        made_up_results(mixture, &r);
        must(ts_results_write_json(&r, path_of(".")));
        char *a = content_of("sweep.json");
        must(ts_results_read(path_of("."), &again));
        must(ts_results_write_json(&again, path_of(".")));
        char *b = content_of("sweep.json");
        assert_string_equal(a, b);
        assert_int_equal(ts_results_bound_count(&again), ts_results_bound_count(&r));
        for (int i = 0; i < ts_results_bound_count(&r); i++) {
            assert_true(again.bounds[i].terms.elbo.mean == r.bounds[i].terms.elbo.mean);
            assert_int_equal(again.bounds[i].start, r.bounds[i].start);
            assert_int_equal(isnan(again.bounds[i].K.mean), !mixture);
            for (int k = 2 * i; k < 2 * i + 2; k++) {
                assert_int_equal(again.samples[k].sampler.kind, r.samples[k].sampler.kind);
                assert_int_equal(isnan(again.samples[k].sampler.budget), isnan(r.samples[k].sampler.budget));
                assert_true(again.samples[k].frechet.half == r.samples[k].frechet.half);
            }
        }
        assert_int_equal(again.findings[0].count, 91);
        assert_int_equal(again.findings[1].count, 6);
        assert_true(again.findings[1].points[3].loss_high == r.findings[1].points[3].loss_high);
        assert_true(again.findings[1].T_star_low == r.findings[1].T_star_low);
        assert_int_equal(again.profiles[0].count, 24);
        assert_int_equal(again.costs.evaluation_count, 2);
        assert_int_equal(again.costs.start_count, 2);
        assert_true(again.costs.training_step == 0.015 && again.costs.batch == 16);
        assert_true(again.costs.evaluations[1].seconds == r.costs.evaluations[1].seconds);
        assert_true(again.costs.starts[1].seconds == 4e-4);
        assert_true(again.costs.starts[1].fit == (mixture ? 0 : 12.5));
        assert_int_equal(again.exact_count, r.exact_count);
        assert_int_equal(ts_results_T_index(&again, 0.4), 3);
        assert_int_equal(ts_results_T_index(&again, 0.45), -1);
        free(a);
        free(b);
        ts_results_release(&r);
        ts_results_release(&again);
    }
}

static void json_mistakes(void **state)
{
    (void)state;
    ts_results r;
    unlink(path_of("sweep.json"));
    expect_error(ts_results_read(path_of("."), &r), TS_NOT_FOUND, "sweep.json");
    write_text("sweep.json", "{\"name\": \"x\",\n \"bound\": [}");
    expect_error(ts_results_read(path_of("."), &r), TS_FORMAT, "sweep.json:2");
    write_text("sweep.json", "[1]");
    expect_error(ts_results_read(path_of("."), &r), TS_FORMAT, "sweep.json");
    made_up_results(false, &r);
    must(ts_results_write_json(&r, path_of(".")));
    ts_results_release(&r);
    char *text = content_of("sweep.json");
    text[strlen(text) / 2] = 0; /* cut short */
    write_text("sweep.json", text);
    expect_error(ts_results_read(path_of("."), &r), TS_FORMAT, "sweep.json");
    free(text);
    write_text("sweep.json", "{\"name\": 3}");
    expect_error(ts_results_read(path_of("."), &r), TS_FORMAT, "'name'");
}

/* ---- charts ---- */

static void charts_without_gnuplot(void **state)
{
    (void)state;
    ts_results r;
    ts_report_result result = {.charts = true};
    made_up_results(false, &r);
    run_folder("undrawn", &r);
    char *path = strdup(getenv("PATH"));
    setenv("PATH", path_of("undrawn"), 1);
    ts_status status = ts_report_make(path_of("undrawn"), &result);
    setenv("PATH", path, 1);
    free(path);
    must(status);
    assert_false(result.charts);
    assert_true(exists("undrawn/charts/bound.gp"));
    assert_true(exists("undrawn/charts/bound.dat"));
    assert_false(exists("undrawn/charts/bound.svg"));
    char *page = content_of("undrawn/report.html");
    assert_null(strstr(page, "<svg"));
    free(page);
    ts_results_release(&r);
}

static void expect_drawn(const char *run, const char *chart)
{
    char name[128];
    snprintf(name, sizeof name, "%s/charts/%s.svg", run, chart);
    char *svg = content_of(name);
    assert_non_null(strstr(svg, "</svg>"));
    free(svg);
    static const char *const pdfs[] = {".pdf", "-latex.pdf"};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/charts/%s%s", run, chart, pdfs[i]);
        char *pdf = content_of(name);
        assert_memory_equal(pdf, "%PDF", 4);
        free(pdf);
    }
    /* LaTeX gets none of gnuplot's own markup */
    snprintf(name, sizeof name, "%s/charts/%s-latex.tex", run, chart);
    char *tex = content_of(name);
    assert_non_null(strstr(tex, "\\begin{picture}"));
    assert_null(strstr(tex, "{/:"));
    assert_null(strstr(tex, "{%L}"));
    free(tex);
}

static void write_logs(const char *run)
{
    char name[128];
    /* lines that are none, and steps that do not go on, are passed over */
    snprintf(name, sizeof name, "%s/log.jsonl", run);
    write_text(name, "{\"step\": 50, \"loss\": 0.75, \"gradient_norm\": 2}\nno JSON\n"
                     "{\"step\": 100, \"loss\": -nan}\n{\"step\": 40, \"loss\": 9}\n[3]\n\n"
                     "{\"step\": 150, \"loss\": null, \"gradient_norm\": 1.5, \"T_star_normal\": 0.5, "
                     "\"T_star_normal_low\": 0.25, \"T_star_normal_high\": 1}\n"
                     "{\"step\": 160, \"loss\": 0.5, \"T_star_normal\": null, \"T_star_gaussian\": \"0.5\"}\n"
                     "{\"step\": 4000, \"loss\": 0.25, \"gradient_norm\": 1}\n{\"step\": 4050, \"lo");
    snprintf(name, sizeof name, "%s/T0.4", run);
    must(ts_file_make_folder(path_of(name)));
    snprintf(name, sizeof name, "%s/T0.4/log.jsonl", run);
    write_text(name,
               "{\"step\": 50, \"loss\": 0.5, \"gradient_norm\": 3}\n{\"step\": 4000, \"loss\": 0.3}\n");
}

/* Four numbers of the line at T in a block. */
static void line_of(const char *data, const char *block, const char *T, double values[4])
{
    char name[64], line[64];
    snprintf(name, sizeof name, "# %s\n", block);
    snprintf(line, sizeof line, "\n%s ", T);
    const char *at = strstr(data, name);
    assert_non_null(at);
    at = strstr(at, line);
    assert_non_null(at);
    assert_int_equal(sscanf(at, "%lf %lf %lf %lf", &values[0], &values[1], &values[2], &values[3]), 4);
}

/* In bits/dim of 64 dimensions: the network's term and the prior term are the bound, each in the middle of its band. */
static void terms_add_up(const char *name)
{
    static const char *const blocks[] = {"network-network", "prior-normal-network", "sum-normal-network"};
    const double band[] = {0.5, 1.5 * 0.004 * 64, 1.5 * 0.012 * 64};
    char *data = content_of(name);
    double v[3][4];
    for (int i = 0; i < 3; i++) {
        line_of(data, blocks[i], "0.4", v[i]);
        assert_true(fabs(v[i][3] - v[i][1] - band[i] / (64 * M_LN2)) < 1e-4);
        assert_true(fabs(v[i][1] - v[i][2] - band[i] / (64 * M_LN2)) < 1e-4);
    }
    assert_true(fabs(v[0][1] + v[1][1] - v[2][1]) < 1e-4 && v[1][1] > 0.1);
    free(data);
}

static void charts_drawn(void **state)
{
    (void)state;
    static const char *const images[] = {"bound",   "terms",    "cost",   "quality", "front",
                                         "profile", "training", "T_star", NULL},
                             *const mixture[] = {"bound",      "terms",    "cost",   "front",
                                                 "profile",    "training", "T_star", "decomposition",
                                                 "samples_1d", NULL};
    for (int m = 0; m < 2; m++) {
        ts_results r;
        ts_report_result result;
        const char *name = m ? "mixture" : "images";
        made_up_results(m, &r);
        run_folder(name, &r);
        write_logs(name);
        must(ts_report_make(path_of(name), &result));
        ts_results_release(&r);
        if (!result.charts) {
            print_message("gnuplot is not installed: drawing is not tested\n");
            skip();
        }
        for (const char *const *chart = m ? mixture : images; *chart; chart++)
            expect_drawn(name, *chart);
    }
    ts_results r;
    ts_report_result result;
    made_up_comparisons(&r);
    run_folder("comparisons", &r);
    must(ts_report_make(path_of("comparisons"), &result));
    ts_results_release(&r);
    expect_drawn("comparisons", "equal");
    expect_drawn("comparisons", "cost");
    expect_drawn("comparisons", "profile");
    assert_false(exists("images/charts/equal.gp")); /* nothing keeps to a budget */
    assert_false(exists("images/charts/decomposition.gp"));
    char *data = content_of("images/charts/training.dat");
    assert_non_null(strstr(data, "# curve0\n50 0.75 2 \n150 NaN 1.5 \n160 0.5 NaN \n4000 0.25 1 \n"));
    assert_non_null(strstr(data, "# curve1\n50 0.5 3 \n4000 0.3 NaN \n"));
    free(data);
    /* of one start alone, where it was measured */
    data = content_of("images/charts/T_star.dat");
    assert_non_null(strstr(data, "# normal\n150 0.5 0.25 1 \n"));
    assert_null(strstr(data, "160"));
    assert_null(strstr(data, "gaussian"));
    free(data);
    assert_false(exists("comparisons/charts/T_star.gp")); /* no log */
    /* a bound at every T is a band and a line, one at some T alone marks with bars */
    char *script = content_of("images/charts/bound.gp");
    assert_int_equal(count_of(script, "index 'finding-normal-network' using 1:3:4 with filledcurves"), 1);
    assert_int_equal(count_of(script, "index 'finding-glow-network' using 1:2:3:4 with yerrorlines"), 1);
    assert_int_equal(count_of(script, "index 'finding-glow-network' using 1:5:6:7 with yerrorlines"), 1);
    free(script);
    script = content_of("images/charts/profile.gp");
    assert_int_equal(count_of(script, "index 'start-normal-network'"), 1);
    assert_int_equal(count_of(script, "index 'start-glow-network'"), 0);
    /* of a flow marks at the sweep's T, of a start with a curve none */
    assert_int_equal(count_of(script, "index 'own-glow-network' using 1:2:3 with yerrorbars"), 1);
    assert_int_equal(count_of(script, "index 'own-normal-network'"), 0);
    free(script);
    data = content_of("images/charts/profile.dat");
    assert_non_null(
        strstr(data, "\n0.4 0.4 0.03125 \n0.6 0.35 0.03125 \n0.8 0.3 0.03125 \n1 0.25 0.03125 \n"));
    free(data);
    /* the terms: lines with bands, marks, and in the sum's panel the network's term once more */
    script = content_of("images/charts/terms.gp");
    assert_int_equal(count_of(script, "index 'network-network' using 1:3:4 with filledcurves"), 2);
    assert_int_equal(count_of(script, "index 'prior-normal-network' using 1:3:4 with filledcurves"), 1);
    assert_int_equal(count_of(script, "index 'sum-normal-network' using 1:3:4 with filledcurves"), 1);
    assert_int_equal(count_of(script, "index 'prior-glow-network' using 1:2:3:4 with yerrorlines"), 1);
    assert_int_equal(count_of(script, "index 'sum-glow-network' using 1:2:3:4 with yerrorlines"), 1);
    free(script);
    terms_add_up("images/charts/terms.dat");
}

/* A chart of older results does not stay, and no file of the folder is drawn from. */
static void charts_of_before(void **state)
{
    (void)state;
    ts_results r;
    ts_report_result result;
    made_up_results(false, &r);
    run_folder("before", &r);
    must(ts_file_make_folder(path_of("before/charts")));
    write_text("before/charts/decomposition.svg", "<svg>of before</svg>");
    must(ts_report_make(path_of("before"), &result));
    assert_false(exists("before/charts/decomposition.svg"));
    char *page = content_of("before/report.html");
    assert_null(strstr(page, "of before"));
    free(page);
    ts_results_release(&r);
}

/* ---- the page ---- */

static void page(void **state)
{
    (void)state;
    ts_results r;
    ts_report_result result;
    unlink(path_of("sweep.json"));
    expect_error(ts_report_make(path_of("."), &result), TS_NOT_FOUND, "no finished sweep");
    made_up_results(false, &r);
    run_folder("page", &r);
    must(ts_report_make(path_of("page"), &result));
    char *text = content_of("page/report.html");
    /* one file that asks for nothing else */
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<link"));
    assert_null(strstr(text, "src=\"http"));
    assert_null(strstr(text, "url("));
    assert_int_equal(count_of(text, "<img "), count_of(text, "src=\"data:image/png;base64,"));
    assert_int_equal(count_of(text, "<img "), 6 * 2 * 2 + 2);
    if (result.charts)
        assert_int_equal(count_of(text, "</svg>"), 6);
    /* what a user wrote is text, not markup */
    assert_null(strstr(text, "<tested>"));
    assert_non_null(strstr(text, "made up &amp; &lt;tested&gt;"));
    assert_non_null(strstr(text, "tstar sweep configs/made_up.yaml"));
    static const char *const elements[] = {"table", "div", "tr", "ul", "figure"};
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        char begin[16], end[16];
        snprintf(begin, sizeof begin, "<%s", elements[i]);
        snprintf(end, sizeof end, "</%s>", elements[i]);
        assert_int_equal(count_of(text, begin), count_of(text, end));
    }
    assert_non_null(strstr(text, "prefers-color-scheme:dark"));
    assert_true(exists("page/grids/data.png"));
    assert_true(exists("page/grids/T0.4_glow_network_em.png"));
    /* made again it is the same */
    must(ts_report_make(path_of("page"), &result));
    char *again = content_of("page/report.html");
    assert_string_equal(text, again);
    free(text);
    free(again);
    ts_results_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_pixels),
        cmocka_unit_test(grid_of_colours),
        cmocka_unit_test(csv_columns),
        cmocka_unit_test(columns_are_told),
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(json_mistakes),
        cmocka_unit_test(charts_without_gnuplot),
        cmocka_unit_test(charts_drawn),
        cmocka_unit_test(charts_of_before),
        cmocka_unit_test(page),
        cmocka_unit_test(hostile_texts),
        cmocka_unit_test(hostile_words),
        cmocka_unit_test(hostile_numbers),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(opens_that_fail),
        cmocka_unit_test(sentences_of_a_good_run),
        cmocka_unit_test(sentences_warn),
        cmocka_unit_test(sentences_of_comparisons),
        cmocka_unit_test(sentences_at_equal_cost),
        cmocka_unit_test(sentences_of_seeds),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
