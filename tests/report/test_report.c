/*
 * Image grids, results as CSV and JSON, charts, and the page, on made-up results.
 *
 * To add a case, fill results as made_up.h does, write them, read the files, and list the test in main.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <png.h>

#include "base/file.h"
#include "base/safetensors.h"
#include "made_up.h"
#include "report/png.h"
#include "report/report.h"

#define ASSERT_OK(expression)                                                                                \
    do {                                                                                                     \
        ts_status status_ = (expression);                                                                    \
        if (status_)                                                                                         \
            fail_msg("%s", ts_status_message(status_));                                                      \
    } while (0)

static char folder[] = "/tmp/tstar-test-report-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[8][256];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static char *content_of(const char *name)
{
    char *text;
    size_t size;
    ASSERT_OK(ts_file_read(path_of(name), (size_t)1 << 26, &text, &size));
    return text;
}

static bool exists(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static void expect_error(ts_status status, ts_code code, const char *part)
{
    assert_int_equal(ts_status_code(status), code);
    assert_non_null(strstr(ts_status_message(status), part));
    ts_status_free(status);
}

/* ---- PNG ---- */

/* Three 2x2 images in two columns at zoom 3 with 2-pixel separators: 18x18 pixels. */
static void grid_pixels(void **state)
{
    (void)state;
    const float x[12] = {-1, 1, 0, NAN, 5, -7, 0.5f, -0.5f, 1, 1, 1, 1};
    ASSERT_OK(ts_png_grid(path_of("grid.png"), x, 3, 2, 2, 1, 2, 3));
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
    ASSERT_OK(ts_png_encode(x, 1, 1, 1, 3, 0, 0, &png, &size));
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

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static void csv_columns(void **state)
{
    (void)state;
    ts_results r;
    made_up_results(false, &r);
    ASSERT_OK(ts_results_write_csv(&r, path_of("sweep.csv")));
    char *text = content_of("sweep.csv");
    const char *names[] = {"T",
                           "prior",
                           "elbo_nats",
                           "elbo_ci95_nats",
                           "bpd",
                           "bpd_ci95",
                           "prior_nats",
                           "diffusion_nats",
                           "reconstruction_nats",
                           "sampler",
                           "nfe",
                           "seconds_per_image",
                           "sliced_wasserstein",
                           "frechet"};
    char header[2048];
    snprintf(header, sizeof header, ",%.*s,", (int)strcspn(text, "\r\n"), text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, ",%s,", names[i]);
        assert_non_null(strstr(header, wanted));
    }
    /* every line has as many fields as the header; one line a T, start and sampler */
    const int commas = count_of(header, ",") - 2;
    int lines = 0;
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        assert_int_equal(count_of(line, ","), commas);
        lines++;
    }
    assert_int_equal(lines, 1 + r.row_count);
    assert_int_equal(r.row_count, 6 * 2 * 2);
    free(text);
    ts_results_release(&r);
}

static void json_round_trip(void **state)
{
    (void)state;
    for (int mixture = 0; mixture < 2; mixture++) {
        ts_results r, again;
        made_up_results(mixture, &r);
        ASSERT_OK(ts_results_write_json(&r, path_of("a.json")));
        ASSERT_OK(ts_results_read_json(path_of("a.json"), &again));
        ASSERT_OK(ts_results_write_json(&again, path_of("b.json")));
        char *a = content_of("a.json"), *b = content_of("b.json");
        assert_string_equal(a, b);
        assert_int_equal(again.row_count, r.row_count);
        for (int i = 0; i < r.row_count; i++) {
            assert_true(again.rows[i].terms.elbo.mean == r.rows[i].terms.elbo.mean);
            assert_int_equal(isnan(again.rows[i].K.mean), !mixture);
        }
        assert_int_equal(again.best[0].count, 6);
        assert_true(again.best[1].deficit_half[3] == r.best[1].deficit_half[3]);
        assert_int_equal(again.profiles[0].count, 24);
        assert_int_equal(again.exact_count, r.exact_count);
        const ts_result_row *row = ts_results_find(&again, 0.4, "normal", NULL, "rk45");
        assert_non_null(row);
        assert_string_equal(row->sampler, "rk45");
        assert_null(ts_results_find(&again, 0.45, "normal", NULL, "rk45"));
        free(a);
        free(b);
        ts_results_release(&r);
        ts_results_release(&again);
    }
}

static void write_text(const char *name, const char *text)
{
    ASSERT_OK(ts_file_write(path_of(name), text, strlen(text)));
}

static void json_mistakes(void **state)
{
    (void)state;
    ts_results r;
    expect_error(ts_results_read_json(path_of("none.json"), &r), TS_NOT_FOUND, "none.json");
    write_text("bad.json", "{\"name\": \"x\",\n \"rows\": [}");
    expect_error(ts_results_read_json(path_of("bad.json"), &r), TS_FORMAT, "bad.json:2");
    write_text("bad.json", "[1]");
    expect_error(ts_results_read_json(path_of("bad.json"), &r), TS_FORMAT, "bad.json");
    made_up_results(false, &r);
    ASSERT_OK(ts_results_write_json(&r, path_of("bad.json")));
    ts_results_release(&r);
    char *text = content_of("bad.json");
    text[strlen(text) / 2] = 0; /* cut short */
    write_text("bad.json", text);
    expect_error(ts_results_read_json(path_of("bad.json"), &r), TS_FORMAT, "bad.json");
    free(text);
    write_text("bad.json", "{\"name\": 3}");
    expect_error(ts_results_read_json(path_of("bad.json"), &r), TS_FORMAT, "'name'");
}

/* ---- charts ---- */

static void charts_without_gnuplot(void **state)
{
    (void)state;
    ts_results r;
    bool drawn = true;
    made_up_results(false, &r);
    char *path = strdup(getenv("PATH"));
    setenv("PATH", folder, 1);
    ts_status status = ts_charts_draw(&r, NULL, path_of("undrawn"), &drawn);
    setenv("PATH", path, 1);
    free(path);
    ASSERT_OK(status);
    assert_false(drawn);
    assert_true(exists("undrawn/bound.gp"));
    assert_true(exists("undrawn/bound.dat"));
    assert_false(exists("undrawn/bound.svg"));
    ts_results_release(&r);
}

static void charts_drawn(void **state)
{
    (void)state;
    static const char *const images[] = {"bound", "terms", "cost", "profile"};
    static const char *const mixture[] = {"bound", "cost", "profile", "decomposition", "samples_1d"};
    float x[400], y[400];
    for (int i = 0; i < 400; i++) {
        x[i] = (float)sin(i) + (i % 2 ? 1.0f : -1.0f);
        y[i] = x[i] * 1.2f;
    }
    const struct ts_chart_set sets[] = {{0.4, "mixture", y, 400}, {1.0, "normal", x, 400}};
    const ts_chart_samples samples = {x, 400, 1, 2, sets};
    for (int m = 0; m < 2; m++) {
        ts_results r;
        bool drawn;
        made_up_results(m, &r);
        ASSERT_OK(ts_charts_draw(&r, m ? &samples : NULL, path_of(m ? "mixture" : "images"), &drawn));
        ts_results_release(&r);
        if (!drawn) {
            print_message("gnuplot is not installed: drawing is not tested\n");
            skip();
        }
        for (int i = 0; i < (m ? 5 : 4); i++) {
            char name[64];
            snprintf(name, sizeof name, "%s/%s.svg", m ? "mixture" : "images", m ? mixture[i] : images[i]);
            char *svg = content_of(name);
            assert_non_null(strstr(svg, "</svg>"));
            free(svg);
            strcpy(strrchr(name, '.'), ".pdf");
            char *pdf = content_of(name);
            assert_memory_equal(pdf, "%PDF", 4);
            free(pdf);
        }
    }
    assert_false(exists("mixture/terms.svg")); /* densities have nothing to stack */
    assert_false(exists("images/decomposition.gp"));
}

/* ---- the page ---- */

static void save_samples(const char *name)
{
    static float x[20 * 64];
    char path[256];
    for (int i = 0; i < 20 * 64; i++)
        x[i] = (float)sin(0.1 * i);
    snprintf(path, sizeof path, "%s/%s.safetensors", path_of(TS_REPORT_SAMPLES), name);
    ts_safetensors_writer *writer;
    ASSERT_OK(ts_safetensors_create(path, &writer));
    ts_safetensors_declare(writer, "x", TS_ST_F32, 4, (const int64_t[]){20, 8, 8, 1});
    ASSERT_OK(ts_safetensors_append(writer, x, sizeof x));
    ASSERT_OK(ts_safetensors_commit(writer));
}

static void page(void **state)
{
    (void)state;
    ts_results r;
    ts_report_result result;
    expect_error(ts_report_make(folder, &result), TS_NOT_FOUND, "no finished sweep");
    made_up_results(false, &r);
    ASSERT_OK(ts_results_write_json(&r, path_of("sweep.json")));
    ASSERT_OK(ts_file_make_folder(path_of(TS_REPORT_SAMPLES)));
    save_samples("data");
    for (int i = 0; i < r.row_count; i++) {
        char name[128];
        ts_report_samples_name(r.rows[i].T, r.rows[i].prior, r.rows[i].score, r.rows[i].sampler, name);
        save_samples(name);
    }
    ASSERT_OK(ts_report_make(folder, &result));
    char *text = content_of("report.html");
    /* one file that asks for nothing else */
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<link"));
    assert_null(strstr(text, "src=\"http"));
    assert_null(strstr(text, "url("));
    assert_int_equal(count_of(text, "<img "), count_of(text, "src=\"data:image/png;base64,"));
    assert_int_equal(count_of(text, "<img "), 6 * 2 * 2 + 2);
    if (result.charts)
        assert_int_equal(count_of(text, "</svg>"), 4);
    /* what a user wrote is text, not markup */
    assert_null(strstr(text, "<tested>"));
    assert_non_null(strstr(text, "made up &amp; &lt;tested&gt;"));
    assert_non_null(strstr(text, "tstar sweep configs/made_up.yaml"));
    /* the coarser discretisation is told */
    assert_non_null(strstr(text, "took 150 steps a unit of time"));
    assert_non_null(strstr(text, "<i>T</i>* = "));
    assert_int_equal(count_of(text, "<table"), count_of(text, "</table>"));
    assert_int_equal(count_of(text, "<div"), count_of(text, "</div>"));
    assert_int_equal(count_of(text, "<tr"), count_of(text, "</tr>"));
    assert_true(exists("grids/data.png"));
    assert_true(exists("grids/T0.4_glow_network_em.png"));
    free(text);
    /* made again it is the same */
    char *first = content_of("report.html");
    ASSERT_OK(ts_report_make(folder, &result));
    char *second = content_of("report.html");
    if (!result.charts)
        assert_string_equal(first, second);
    free(first);
    free(second);
    ts_results_release(&r);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_pixels),   cmocka_unit_test(grid_of_colours),
        cmocka_unit_test(csv_columns),   cmocka_unit_test(json_round_trip),
        cmocka_unit_test(json_mistakes), cmocka_unit_test(charts_without_gnuplot),
        cmocka_unit_test(charts_drawn),  cmocka_unit_test(page),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
