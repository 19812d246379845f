#include "kernels/cuda/launch.cuh"

template <class T> struct embedding {
    int half;
    ts_sde sde;
    double low, scale;
    const float *t;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / half;
        const int j = (int)(i - row * half);
        double sine, cosine;
        sincos((j + 1) * ((ts_sde_lambda(&sde, (double)t[row]) - low) * scale), &sine, &cosine);
        y[row * 2 * half + j] = ts_cast<T>((float)sine);
        y[row * 2 * half + half + j] = ts_cast<T>((float)cosine);
    }
};

ts_status ts_cuda_lambda_embedding(ts_device *device, const ts_lambda_embedding *a)
{
    const int half = a->c / 2;
    TS_DISPATCH(device, T,
                return ts_each<1>(device, (int64_t)a->n * half, true,
                                  embedding<T>{half, a->sde, a->low, a->scale, a->t, (T *)a->y}));
}
