#include "kernels/cuda/launch.cuh"

template <class T> struct lambda_features {
    int waves;
    ts_sde sde;
    double low, scale;
    const float *t;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / (1 + waves);
        const int j = (int)(i - row * (1 + waves));
        T *const own = y + row * (1 + 2 * waves);
        double sine, cosine;
        if (j == 0) {
            own[0] = ts_cast<T>((float)ts_sde_log_share(&sde, (double)t[row]));
            return;
        }
        sincos(j * ((ts_sde_lambda(&sde, (double)t[row]) - low) * scale), &sine, &cosine);
        own[j] = ts_cast<T>((float)sine);
        own[waves + j] = ts_cast<T>((float)cosine);
    }
};

ts_status ts_cuda_lambda_embedding(ts_device *device, const ts_lambda_embedding *a)
{
    TS_DISPATCH(device, T,
                return ts_each<1>(device, (int64_t)a->n * (1 + a->waves), true,
                                  lambda_features<T>{a->waves, a->sde, a->low, a->scale, a->t, (T *)a->y}));
}
