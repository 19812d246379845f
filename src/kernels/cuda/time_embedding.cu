#include "kernels/cuda/launch.cuh"

/* In double: the arguments reach 999, where float32 leaves a sine with four digits. */
template <class T> struct embedding {
    int half;
    double step;
    ts_sde sde;
    ts_time_input_kind input;
    const float *t;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / half;
        const int j = (int)(i - row * half);
        double sine, cosine;
        sincos(ts_sde_condition(&sde, input, (double)t[row]) * exp(step * j), &sine, &cosine);
        y[row * 2 * half + j] = ts_cast<T>((float)sine);
        y[row * 2 * half + half + j] = ts_cast<T>((float)cosine);
    }
};

ts_status ts_cuda_time_embedding(ts_device *device, const ts_time_embedding *a)
{
    const int half = a->c / 2;
    const double step = half > 1 ? -log(10000.0) / (half - 1) : 0.0;
    TS_DISPATCH(device, T,
                return ts_each<1>(device, (int64_t)a->n * half, true,
                                  embedding<T>{half, step, a->sde, a->input, a->t, (T *)a->y}));
}
