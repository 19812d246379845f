/* What the page says, and that it says it of these numbers only. */
#include "report_test.h"

#include "report/source.h"

static char *page_of(const char *name, ts_results *r)
{
    char file[64];
    ts_report_result result;
    run_folder(name, r);
    /* no pictures: they take time and say nothing */
    char *path = strdup(getenv("PATH"));
    setenv("PATH", path_of(name), 1);
    ts_status status = ts_report_make(path_of(name), &result);
    setenv("PATH", path, 1);
    free(path);
    must(status);
    snprintf(file, sizeof file, "%s/report.html", name);
    return content_of(file);
}

static void expect(const char *page, const char *sentence, bool there)
{
    if (!strstr(page, sentence) == there)
        fail_msg("the page %s '%s'", there ? "does not say" : "says", sentence);
}

void sentences_of_a_good_run(void **state)
{
    (void)state;
    ts_results r;
    made_up_results(false, &r);
    char *page = page_of("good", &r);
    /* T* of both starts, with the numbers of the results */
    char wanted[256];
    for (int start = 0; start < 2; start++) {
        const ts_finding *f = &r.findings[start];
        const ts_finding_point *best = ts_report_point(f, f->T_best);
        snprintf(wanted, sizeof wanted,
                 "<i>T</i>&nbsp;=&nbsp;%g (%.3f&nbsp;<small>&plusmn;&nbsp;%.3f</small>", f->T_best,
                 best->bpd.mean, best->bpd.half);
        expect(page, wanted, true);
        snprintf(wanted, sizeof wanted, "<b><i>T</i>*&nbsp;=&nbsp;%g</b>", f->T_star);
        expect(page, wanted, true);
        snprintf(wanted, sizeof wanted, "it lies between %g and %g.", f->T_star_low, f->T_star_high);
        expect(page, wanted, f->T_star_low < f->T_star_high);
    }
    /* what T* saves is evaluations, in proportion only because of the fixed step; seconds are one timing */
    snprintf(wanted, sizeof wanted, "Euler&ndash;Maruyama takes %.0f network evaluations for a sample",
             150 * r.findings[1].T_star + 1);
    expect(page, wanted, true);
    expect(page, "because its step length is fixed (150 steps a unit of time)", true);
    expect(page, "in one timing an image took", true);
    expect(page, "took 150 steps a unit of time", true);
    expect(page, "(297 data, taken to be independent of each other)", true);
    expect(page, "<i>n</i>&nbsp;=&nbsp;256 samples", true);
    expect(page, "at the same <i>n</i>, and samples may come out below them", true);
    expect(page, "One seed (1)", true);
    expect(page, "They cover which data were held out, not a second training.", true);
    /* too strong, or not of this run */
    static const char *const never[] = {
        "perfect sampler",  "unavoidable",   "times faster",      "faster",        "worse than uniform",
        "predicting zero:", "stopped early", "noise around zero", "There is none", "a tie",
        "is shown to be"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        expect(page, never[i], false);
    free(page);
    /* the first sampler is an adaptive one: nothing goes with T */
    r.samplers[0].kind = TS_SAMPLER_RK45;
    r.samplers[1].kind = TS_SAMPLER_EM;
    for (int i = 0; i < 24; i++)
        r.samples[i].sampler = r.samplers[i % 2];
    r.steps_per_unit = 1000;
    page = page_of("adaptive", &r);
    expect(page, "RK45 takes ", true);
    expect(page, "step length is fixed", false);
    expect(page, "coarser discretisation", false);
    free(page);
    ts_results_release(&r);
}

static void set_bound(ts_results *r, int start, double bits)
{
    for (int T = 0; T < r->T_count; T++)
        ts_results_bound(r, 0, T, start)->terms.bpd.mean = bits + 0.01 * T;
}

void sentences_warn(void **state)
{
    (void)state;
    ts_results r;
    char *page;
    made_up_results(false, &r);

    /* log2 17 = 4.087: just below it nothing, above it no T* of that start, of both no finding at all */
    set_bound(&r, 0, 4.08);
    page = page_of("w1", &r);
    expect(page, "worse than uniform bits", false);
    free(page);
    set_bound(&r, 0, 4.25);
    page = page_of("w1", &r);
    expect(page,
           "Started from <i>N</i>(0,&nbsp;<i>I</i>), the bound is worse than uniform bits at every <i>T</i>: "
           "4.250 bits per dimension at best, where the 17 levels without any model cost "
           "log<sub>2</sub>&nbsp;17 = 4.087",
           true);
    expect(page, "Started from <b><i>N</i>", false);
    expect(page, "Started from <b>the Glow</b>", true);
    char *script = content_of("w1/charts/bound.gp");
    assert_int_equal(count_of(script, "{/:Italic T}* = "), 1); /* nor does the chart tell it */
    free(script);
    free(page);
    set_bound(&r, 1, 5);
    page = page_of("w1", &r);
    expect(page, "There is none: read the warnings", true);
    expect(page, "<b><i>T</i>* = ", false);
    free(page);
    ts_results_release(&r);

    /* a noise error above 1 beyond its interval */
    made_up_results(false, &r);
    r.profiles[0].bins[3].mse = (ts_interval){1.005, 0.01};
    page = page_of("w2", &r);
    expect(page, "worse than predicting zero", false);
    free(page);
    r.profiles[0].bins[3].mse = (ts_interval){1.25, 0.01};
    r.profiles[0].bins[4].mse = (ts_interval){1.125, 0.01};
    page = page_of("w2", &r);
    expect(
        page,
        "In 2 of 24 intervals of time the network's noise error is above 1, worse than predicting zero: up to "
        "1.250&nbsp;<small>&plusmn;&nbsp;0.010</small>",
        true);
    free(page);

    /* training that ended before its last step, of any of the networks */
    write_text("w2/log.jsonl", "{\"step\": 50, \"loss\": 1}\n{\"step\": 4000, \"loss\": 1}\n");
    page = page_of("w2", &r);
    expect(page, "stopped early", false);
    free(page);
    write_text("w2/log.jsonl", "{\"step\": 50, \"loss\": 1}\n{\"step\": 3950, \"loss\": 1}\n");
    page = page_of("w2", &r);
    expect(page, "Training stopped early: its log ends at step 3950 of 4000", true);
    free(page);

    /* distances at another n than that of the training data; distances without intervals */
    r.floor.images = 128;
    page = page_of("w2", &r);
    expect(page, "at <i>n</i>&nbsp;=&nbsp;128, and samples may come out below them", true);
    free(page);
    for (int i = 0; i < 24; i++)
        r.samples[i].sliced_wasserstein.half = r.samples[i].frechet.half = NAN;
    page = page_of("w2", &r);
    expect(page, "jackknife", false);
    free(page);
    ts_results_release(&r);

    /* divergences below zero; no training, so no seed to warn of */
    made_up_results(true, &r);
    page = page_of("w3", &r);
    expect(page, "noise around zero", false);
    free(page);
    r.bounds[4].kl_prior.mean = -0.003;
    r.bounds[6].kl_prior.mean = -0.001;
    page = page_of("w3", &r);
    expect(page,
           "2 of 24 estimates of KL(<i>p<sub>T</sub></i>, start) are below zero, down to &minus;0.0030 nats",
           true);
    free(page);
    ts_results_release(&r);
}

/* What several seeds and blocks cover is said. */
void sentences_of_seeds(void **state)
{
    (void)state;
    ts_results r;
    made_up_results(false, &r);
    r.block = 9;
    for (int i = 0; i < r.finding_count; i++) {
        r.findings[i].seeds = 3;
        r.findings[i].between = 0.02 + 0.001 * i;
    }
    char wanted[128], *page = page_of("seeds", &r);
    snprintf(wanted, sizeof wanted,
             "has a standard deviation of 0.0200 to %.4f bits per dimension, by the start.",
             0.02 + 0.001 * (r.finding_count - 1));
    expect(page, "<li>3 seeds (1 to 3): everything was trained 3 times.", true);
    expect(page, wanted, true);
    expect(page, "of the first seed alone", true);
    expect(page,
           "(297 data in blocks of 9, for they depend on their neighbours) and what another training would "
           "change (3 seeds)",
           true);
    expect(page, "They cover which data were held out, and what another training would change.", true);
    expect(page, "One seed", false);
    free(page);
    ts_results_release(&r);
}

/* Equal cost is told from equal step length, the likelihood from the bound, a gain from a loss. */
void sentences_of_comparisons(void **state)
{
    (void)state;
    ts_results r;
    made_up_comparisons(&r);
    char *page = page_of("comparisons", &r);
    /* Glow, at equal cost: the table's row of em, nearest where the made-up distance is smallest */
    expect(page, "<h3>At equal cost</h3>", true);
    expect(page,
           "<td class=\"word\">Euler&ndash;Maruyama</td><td>20</td><td>19</td><td>20</td><td>1</td>"
           "<td>0.0602&nbsp;<small>&plusmn;&nbsp;0.0020</small></td>",
           true);
    expect(page, "Euler&ndash;Maruyama within 20 evaluations", true);
    expect(page, "RK45 within", false);
    /* the text tells of the sampler with steps of its own, which here has no fixed length */
    expect(page, "RK45 takes ", true);
    expect(page, "step length is fixed", false);
    expect(page, "coarser discretisation", false);
    expect(page, "2.250&nbsp;<small>&plusmn;&nbsp;0.062</small></td><td>140</td>", true);
    expect(page, "Neither has to be the smaller", true);
    /* nats/(64 ln 2), with their signs */
    expect(page,
           "in bits per dimension, 0.0113&nbsp;<small>&plusmn;&nbsp;0.0045</small> at "
           "<i>T</i>&nbsp;=&nbsp;0.4, &minus;0.0056&nbsp;<small>&plusmn;&nbsp;0.0028</small> at "
           "<i>T</i>&nbsp;=&nbsp;0.1 (negative: worse)",
           true);
    free(page);
    char *data = content_of("comparisons/charts/equal.dat"),
         *cost = content_of("comparisons/charts/cost.dat");
    assert_int_equal(count_of(data, "\n20 "), 2 * 6); /* start, T */
    assert_null(strstr(data, "rk45"));
    assert_null(strstr(cost, "-em"));
    assert_int_equal(count_of(cost, "-rk45"), 2);
    free(data);
    free(cost);
    char *profile = content_of("comparisons/charts/profile.dat");
    assert_non_null(strstr(profile, "# network_per_T-0.4\n"));
    assert_non_null(
        strstr(profile, "# ratio-network_per_T-0.4\n")); /* made up as the same numbers: all are 1 */
    assert_int_equal(count_of(profile, " 1 \n"), r.profiles[1].count);
    free(profile);
    ts_results_release(&r);

    made_up_results(false, &r);
    page = page_of("own-steps", &r);
    static const char *const never[] = {"At equal cost</h3>", "by the ODE", "Trained for each"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        expect(page, never[i], false);
    free(page);
    ts_results_release(&r);
}

/* Rows of the sampler with a budget, 12 in all: the longest T at 0.06, every shorter one at 0.08, each +- half. */
static void set_distances(ts_results *r, double half)
{
    for (int i = 0; i < ts_results_bound_count(r); i++)
        r->samples[2 * i].sliced_wasserstein = (ts_interval){r->bounds[i].T == 1 ? 0.06 : 0.08, half};
}

/* What is said of a shorter T at equal evaluations is by intervals that hold for all rows at once. */
void sentences_at_equal_cost(void **state)
{
    (void)state;
    ts_results r;
    made_up_comparisons(&r);
    /* t(1 - 0.025/12; 19) / t(0.975; 19), from tables */
    const double factor = 3.254996 / 2.093024;
    ts_interval *shorter = &ts_results_sample(&r, 0, 3, 1, 0)->sliced_wasserstein; /* T = 0.4, Glow */

    set_distances(&r, 0.02);
    char *page = page_of("equal", &r);
    expect(page,
           "At equal evaluations a shorter <i>T</i> is <b>not shown to be better</b> at any of 1 budget,",
           true);
    expect(page, "<li>within 20 evaluations: 0.0800", true);
    expect(
        page,
        "at <i>T</i>&nbsp;=&nbsp;1 from <i>N</i>(0,&nbsp;<i>I</i>) by Euler&ndash;Maruyama: not told apart</li>",
        true);
    expect(page, "hold for all 12 distances at once", true);
    free(page);

    /* the ends of the logarithms' intervals meet at log(0.06/y) = factor (0.1/6 + 0.1/6): a little nearer, a little
     * farther; intervals of single distances are apart in both */
    set_distances(&r, 0.001);
    for (int apart = 0; apart < 2; apart++) {
        const double y = 0.06 * exp(-factor / 30 * (apart ? 1.01 : 0.99));
        assert_true(y + y / 60 < 0.06 - 0.001);
        *shorter = (ts_interval){y, y / 60};
        page = page_of("equal", &r);
        expect(page, "<b>shown to be better</b> at 1 of 1 budget,", apart);
        expect(page, "by Euler&ndash;Maruyama: the shorter <i>T</i> is nearer</li>", apart);
        expect(page, "<b>not shown to be better</b>", !apart);
        free(page);
    }

    set_distances(&r, 0.001);
    page = page_of("equal", &r);
    expect(page, "<b>not shown to be better</b> at any of 1 budget, and shown to be worse at 1,", true);
    expect(page, "the longest <i>T</i> is nearer</li>", true);
    free(page);

    /* the longest T was drawn with more evaluations alone */
    for (int i = 0; i < ts_results_bound_count(&r); i++)
        if (r.bounds[i].T == 1)
            r.samples[2 * i].nfe = 1000;
    page = page_of("equal", &r);
    expect(page, "At equal evaluations <i>T</i> was not compared:", true);
    free(page);
    ts_results_release(&r);

    /* what goes with T at a fixed step length is no merit of a short T */
    made_up_results(false, &r);
    page = page_of("construction", &r);
    expect(page, "cheaper by construction, and fewer steps at the longest <i>T</i> would save as much", true);
    expect(page, "is <b>not shown to be better</b> at any of 3 budgets",
           true); /* 100, 120, 151 evaluations at T = 1 */
    free(page);
    ts_results_release(&r);
}
