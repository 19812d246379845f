/* The prior term of a normal start: in closed form, against its formula and against draws. */
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
