/* The finding of a sweep in words. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

static const char *score_of(const ts_results *results)
{
    return results->rows[0].score;
}

const ts_best *ts_report_aided(const ts_results *results)
{
    const ts_best *glow = ts_results_best(results, "glow", score_of(results));
    return glow ? glow : ts_results_best(results, "mixture", score_of(results));
}

static void list_not_worse(const ts_best *best, FILE *page)
{
    const char *separator = "";
    for (int i = 0; i < best->count; i++)
        if (best->deficit[i] - best->deficit_half[i] <= 0) {
            fprintf(page, "%s%g", separator, best->T[i]);
            separator = ", ";
        }
}

/* Where the bound of one start is best, and its T*. */
static void best_times(const ts_results *results, const ts_best *best, FILE *page)
{
    const ts_result_row *top = ts_results_find(results, best->T_best, best->prior, best->score, NULL);
    const ts_result_row *star = ts_results_find(results, best->T_star, best->prior, best->score, NULL);
    if (!top || !star)
        return;
    fprintf(page,
            "<p>Started from <b>%s</b>, the bound is best at <i>T</i>&nbsp;=&nbsp;%g (%.3f &plusmn; %.3f "
            "bits per "
            "dimension), and <b><i>T</i>* = %g</b>",
            ts_report_prior(best->prior), best->T_best, top->terms.bpd.mean, top->terms.bpd.half,
            best->T_star);
    if (best->T_star != best->T_best)
        fprintf(page, " (%.3f &plusmn; %.3f)", star->terms.bpd.mean, star->terms.bpd.half);
    fputs(". Not significantly worse than the best: <i>T</i>&nbsp;=&nbsp;", page);
    list_not_worse(best, page);
    fputs(".</p>\n", page);
}

static double deficit_bits(const ts_results *results, const ts_best *best, double T, double *half)
{
    for (int i = 0; best && i < best->count; i++)
        if (best->T[i] == T) {
            const double bits = results->h * results->w * results->c * M_LN2;
            *half = best->deficit_half[i] / bits;
            return best->deficit[i] / bits;
        }
    return *half = NAN;
}

/* What the shortest times cost with and without the auxiliary density. */
static void cost_of_short_times(const ts_results *results, const ts_best *normal, const ts_best *aided,
                                FILE *page)
{
    fputs("<p>What a short <i>T</i> costs in the bound, against the best <i>T</i> of the same start: ", page);
    const char *separator = "";
    for (int i = aided->count - 1; i >= 0 && i >= aided->count - 3; i--) {
        const double T = aided->T[i];
        double half_normal, half_aided;
        const double lost_normal = deficit_bits(results, normal, T, &half_normal);
        const double lost_aided = deficit_bits(results, aided, T, &half_aided);
        fprintf(page,
                "%sat <i>T</i>&nbsp;=&nbsp;%g <b>%.3f</b> &plusmn; %.3f bits per dimension from %s and "
                "<b>%.3f</b> "
                "&plusmn; "
                "%.3f from %s",
                separator, T, lost_normal, half_normal, ts_report_prior("normal"), lost_aided, half_aided,
                ts_report_prior(aided->prior));
        separator = "; ";
    }
    fputs(".</p>\n", page);
}

/* What T* saves in sampling, and what that does to the samples. */
static void saving(const ts_results *results, const ts_best *best, double longest, FILE *page)
{
    const ts_result_row *star = ts_results_find(results, best->T_star, best->prior, best->score, "em");
    const ts_result_row *full = ts_results_find(results, longest, best->prior, best->score, "em");
    if (!star || !full || star == full || !isfinite(star->sliced_wasserstein.mean))
        return;
    fprintf(page,
            "<p>Sampling at <i>T</i>* = %g instead of %g takes %.0f network evaluations instead of %.0f "
            "(Euler&ndash;Maruyama) and was measured <b>%.1f times faster</b> (%.3g s against %.3g s an "
            "image). The "
            "sliced Wasserstein distance of the samples to held-out data is %.4f at <i>T</i>* and %.4f at %g",
            star->T, full->T, star->nfe, full->nfe, full->seconds_per_image / star->seconds_per_image,
            star->seconds_per_image, full->seconds_per_image, star->sliced_wasserstein.mean,
            full->sliced_wasserstein.mean, full->T);
    const ts_result_row *plain = ts_results_find(results, star->T, "normal", best->score, "em");
    if (plain && plain != star)
        fprintf(page, "; started from %s at the same <i>T</i>* it is %.4f", ts_report_prior("normal"),
                plain->sliced_wasserstein.mean);
    if (isfinite(results->floor.sliced_wasserstein))
        fprintf(page, " (training data score %.4f)", results->floor.sliced_wasserstein);
    fputs(".</p>\n", page);
}

void ts_report_finding(const ts_results *results, FILE *page)
{
    const char *score = score_of(results);
    const ts_best *normal = ts_results_best(results, "normal", score);
    const ts_best *aided = ts_report_aided(results);
    double longest = 0;
    for (int i = 0; i < results->row_count; i++)
        longest = fmax(longest, results->rows[i].T);
    if (aided)
        best_times(results, aided, page);
    if (normal)
        best_times(results, normal, page);
    if (normal && aided)
        cost_of_short_times(results, normal, aided, page);
    if (aided)
        saving(results, aided, longest, page);
    fputs("<p class=\"note\"><i>T</i>* is the smallest <i>T</i> in the sweep whose bound is not worse than "
          "the best "
          "one's within the 95 % interval of their difference, taken datum by datum.</p>\n",
          page);
    if (results->steps_per_unit < 1000)
        fprintf(page,
                "<p class=\"note\">Euler&ndash;Maruyama took %.0f steps a unit of time here (the customary "
                "1000 would "
                "cost %.1f times as much): times and distances of its samples are those of this coarser "
                "discretisation.</p>\n",
                results->steps_per_unit, 1000 / results->steps_per_unit);
}
