/* The prior term of a normal start: in closed form, against its formula and against draws.  The error of a start density's own
 * score: of the exact density by quadrature. */
#include "diffusion/bound.h"
#include "oracle.h"
#include "parts.h"

enum { PIXELS = 64, IMAGES = 200, SHADES = 17 };

/* Images of a few shades each, as digits are: x [IMAGES][PIXELS] in model scale, on the device as bytes. */
static ts_data shaded_images(ts_device *device, float *x)
{
    static unsigned char bytes[IMAGES * PIXELS];
    void *memory;
    for (int i = 0; i < IMAGES * PIXELS; i++) {
        const double shade = 8 + 8 * sin(0.37 * (i % PIXELS) + 1.3 * (i / PIXELS)) * cos(0.11 * i);
        bytes[i] = (unsigned char)shade;
        x[i] = (float)bytes[i] * (float)(2.0 / (SHADES - 1)) - 1.0f;
    }
    must(device->k->allocate(device, sizeof bytes, &memory));
    must(device->k->upload(device, memory, bytes, sizeof bytes));
    return (ts_data){
        .device = device, .h = 8, .w = 8, .c = 1, .count = IMAGES, .levels = SHADES, .bytes = memory};
}

/* Sum over dimensions of (a^2 x0^2 + s^2) / (2 sigma^2) - 1/2 - ln(s / sigma). */
static double normal_prior(const ts_sde *sde, double T, double sigma, const float *x0)
{
    const double B = sde->beta_min * T + (sde->beta_max - sde->beta_min) * T * T / 2;
    double a = exp(-B / 2), s = sqrt(1 - exp(-B)), sum = 0;
    if (sde->kind == TS_SDE_SUBVP)
        s = 1 - exp(-B);
    if (sde->kind == TS_SDE_VE) {
        a = 1;
        s = sde->sigma_min * exp(T * log(sde->sigma_max / sde->sigma_min));
    }
    for (int j = 0; j < PIXELS; j++)
        sum += (a * a * x0[j] * x0[j] + s * s) / (2 * sigma * sigma) - 0.5 - log(s / sigma);
    return sum;
}

void prior_in_closed_form(void **state)
{
    (void)state;
    static float x[IMAGES * PIXELS];
    const ts_sde forgets = {TS_SDE_VP, 0.1, 4000.0, 0.01, 50.0}; /* a(1) is 0 */
    const ts_sde *const sdes[] = {&vp, &subvp, &ve, &forgets};
    const double T[] = {1.0, 0.4, 0.05}, sigmas[] = {1.0, 2.5};
    double closed[IMAGES], drawn[IMAGES], difference[IMAGES];
    ts_device *device = open_cpu();
    const ts_data data = shaded_images(device, x);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 2; k++) {
                ts_density *density;
                const double sigma = i == 2 ? sigmas[k] * ts_sde_std(&ve, T[j]) : sigmas[k];
                const ts_bound_config config = {
                    .sde = *sdes[i], .eps = EPS, .prior_draws = 4, .count = IMAGES, .seed = 3};
                must(ts_density_normal(device, 64, PIXELS, sigma, &density));
                must(ts_bound_prior(&config, &data, T[j], density, closed, NULL));
                density->expected_log_prob = NULL;
                must(ts_bound_prior(&config, &data, T[j], density, drawn, NULL));
                for (int n = 0; n < IMAGES; n++) {
                    const double wanted = normal_prior(sdes[i], T[j], sigma, x + n * PIXELS);
                    NEAR(closed[n], wanted, 1e-9 * fmax(1, fabs(wanted)));
                    difference[n] = drawn[n] - closed[n];
                }
                const ts_interval d = ts_interval_of(difference, IMAGES);
                const ts_interval with = ts_interval_of(closed, IMAGES),
                                  without = ts_interval_of(drawn, IMAGES);
                print_message("  T %.2f  prior %.4f +- %.4f in closed form, %.4f +- %.4f drawn\n", T[j],
                              with.mean, with.half, without.mean, without.half);
                NEAR(d.mean, 0, 2 * d.half + 1e-6);
                if (sdes[i] == &vp && T[j] == 0.4 && sigma == 1)
                    assert_true(with.half < 0.5 * without.half);
                ts_density_destroy(density);
            }
    device->k->release(device, data.bytes);
    ts_device_close(device);
}

/* E (net - z)^2 with the exact score at t: 1 - s^2 E (dlog p_t/dx)^2, by quadrature. */
static double unavoidable(const ts_sde *sde, double t)
{
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    const double h = sqrt(0.01 * a * a + s * s) / 20, reach = 2 * a + 12 * sqrt(0.0625 * a * a + s * s);
    double fisher = 0;
    for (double x = -reach; x <= reach; x += h) {
        double dp;
        const double p = line_density(sde, t, x, &dp);
        if (p > 1e-300)
            fisher += h * dp * dp / p;
    }
    return 1 - s * s * fisher;
}

/* p_T of the line as a mixture of its own, not carried from anywhere. */
static ts_mixture *line_at(ts_device *device, const ts_sde *sde, double T)
{
    const double a = ts_sde_mean(sde, T), s = ts_sde_std(sde, T);
    double means[COMPONENTS], stds[COMPONENTS];
    ts_mixture *mixture;
    for (int k = 0; k < COMPONENTS; k++) {
        means[k] = a * line_means[k];
        stds[k] = sqrt(a * a * line_stds[k] * line_stds[k] + s * s);
    }
    must(ts_mixture_create(device, COMPONENTS, 1, line_weights, means, stds, NULL, &mixture));
    return mixture;
}

void start_error_is_that_of_its_score(void **state)
{
    (void)state;
    enum { DATA = 4000 };
    static const ts_sde at_rest = {.kind = TS_SDE_VP, .beta_min = 0, .beta_max = 1};
    static double error[DATA], of_T[DATA];
    const ts_sde *const sdes[] = {&vp, &subvp, &ve};
    const double T[] = {0.1, 0.3, 0.6};
    ts_device *device = open_cpu();
    ts_mixture *mixture = line_mixture(device);
    const ts_data data = {.device = device, .h = 1, .w = 1, .c = 1, .mixture = mixture};
    for (int k = 0; k < 3 * 3; k++) {
        const ts_sde *sde = sdes[k / 3];
        const double at = T[k % 3];
        const ts_bound_config config = {.sde = *sde, .eps = EPS, .prior_draws = 4, .count = DATA, .seed = 11};
        ts_mixture *fitted = line_at(device, sde, at);
        ts_density *exact, *alone, *normal;
        must(ts_density_mixture(mixture, sde, at, 512, &exact));
        must(ts_density_mixture(fitted, &at_rest, 1.4142e-6, 512, &alone));
        must(ts_density_normal(device, 512, 1, 1, &normal));
        must(ts_bound_start_error(&config, &data, at, exact, error));
        must(ts_bound_start_error(&config, &data, at, alone, of_T));
        const ts_interval found = ts_interval_of(error, DATA);
        print_message("  T %.2f  own score %.5f +- %.5f, exactly %.5f\n", at, found.mean, found.half,
                      unavoidable(sde, at));
        NEAR(found.mean, unavoidable(sde, at), 2 * found.half);
        for (int i = 0; i < DATA; i++)
            NEAR(of_T[i], error[i], 1e-3 * (1e-2 + error[i]));
        MUST_FAIL(ts_bound_start_error(&config, &data, at, normal, error), TS_INVALID);
        ts_density_destroy(exact);
        ts_density_destroy(alone);
        ts_density_destroy(normal);
        ts_mixture_destroy(fitted);
    }
    ts_mixture_destroy(mixture);
    ts_device_close(device);
}
