#include "kernels/cuda/launch.cuh"

/* In double: the arguments reach 999, where float32 leaves a sine with four digits. */
template <class T> struct embedding {
    int half;
    double step;
    ts_sde sde;
    const float *t;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / half;
        const int j = (int)(i - row * half);
        const bool ve = sde.kind == TS_SDE_VE;
        const double u = ve ? ts_sde_std(&sde, (double)t[row]) : (double)t[row];
        double sine, cosine;
        sincos(u * ((ve ? 1.0 : 999.0) * exp(step * j)), &sine, &cosine);
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
                                  embedding<T>{half, step, a->sde, a->t, (T *)a->y}));
}
