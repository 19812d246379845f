#include "kernels/cuda/launch.cuh"

/* In double: the angles reach hundreds, where float32 leaves a sine with five digits. */
template <class T> struct fourier {
    int half;
    ts_sde sde;
    ts_time_input_kind input;
    const float *t, *frequencies;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / half;
        const int j = (int)(i - row * half);
        double sine, cosine;
        sincos(2.0 * M_PI * ts_sde_log_condition(&sde, input, (double)t[row]) * (double)frequencies[j], &sine,
               &cosine);
        y[row * 2 * half + j] = ts_cast<T>((float)sine);
        y[row * 2 * half + half + j] = ts_cast<T>((float)cosine);
    }
};

ts_status ts_cuda_fourier_embedding(ts_device *device, const ts_fourier_embedding *a)
{
    const int half = a->c / 2;
    TS_DISPATCH(device, T,
                return ts_each<1>(device, (int64_t)a->n * half, true,
                                  fourier<T>{half, a->sde, a->input, a->t, a->frequencies, (T *)a->y}));
}
