/* The services of the CUDA device against a made-up runtime: opening, memory, errors, recorded launches. */
#include <stdio.h>
#include <string.h>
#include "kernels/cuda/cuda.h"
#include "expect.hpp"

/* That the call failed with this code and a message of one line with both parts in it. */
static void expect_error(ts_status status, ts_code code, const char *part, const char *other,
                         const char *what)
{
    const char *const message = ts_status_message(status);
    const bool right = status && ts_status_code(status) == code && strstr(message, part) &&
                       strstr(message, other) && !strchr(message, '\n');
    expect(right, what);
    if (!right)
        printf("     %s\n", message);
    ts_status_free(status);
}

static void expect_success(ts_status status, const char *what)
{
    expect(!status, what);
    if (status)
        printf("     %s\n", ts_status_message(status));
    ts_status_free(status);
}

static ts_status open_card(ts_device **device, int index, bool fast)
{
    const ts_device_options options = {0, index, fast};
    *device = NULL;
    return ts_cuda_kernels()->open(&options, device);
}

static ts_device *good_card()
{
    ts_device *device;
    card = fake_card();
    card.driver = 13000;
    card.count = 2;
    card.major = 9;
    card.total = card.free = 1 << 20;
    expect_success(open_card(&device, 0, false), "open");
    return device;
}

static void check_open()
{
    ts_device *device;
    card = fake_card();
    expect_error(open_card(&device, 0, false), TS_UNSUPPORTED, "no NVIDIA driver", "", "no driver");
    card.driver = 13000;
    expect_error(open_card(&device, 0, false), TS_UNSUPPORTED, "no usable NVIDIA GPU", "", "no card");
    card.count = 1;
    card.major = 7;
    card.minor = 5;
    card.total = card.free = 1 << 20;
    expect_error(open_card(&device, 1, false), TS_UNSUPPORTED, "no GPU 1", "has 1", "index beyond the last");
    expect_error(open_card(&device, 0, false), TS_UNSUPPORTED, "7.5", "8.0", "an old card");
    card.major = 8;
    card.image = cudaErrorNoKernelImageForDevice;
    expect_error(open_card(&device, 0, false), TS_UNSUPPORTED, "8.5", "TSTAR_CUDA_ARCHITECTURES",
                 "no code for it");
    card.image = cudaSuccess;
    expect_success(open_card(&device, 0, true), "open with reduced precision");
    expect(device->activation == TS_BF16 && strcmp(device->k->name, "cuda") == 0, "activation type and name");
    device->k->close(device);
    expect(card.handed_out == 0, "nothing stays allocated");
}

static void check_memory()
{
    ts_device *const device = good_card();
    const ts_kernels *const k = device->k;
    void *a = NULL, *b = NULL, *none = &a;
    unsigned char host[1000], back[1000];
    expect_success(k->allocate(device, 1000, &a), "allocate");
    expect_success(k->allocate(device, 0, &b), "allocate nothing");
    expect_success(k->download(device, back, a, 1000), "download");
    bool zero = true;
    for (unsigned char c : back)
        zero = zero && c == 0;
    expect(zero, "new memory is zero");
    expect(device->bytes == 1000 && device->allocations == 2, "bytes and allocations");
    for (int i = 0; i < 1000; i++)
        host[i] = (unsigned char)(i % 251);
    expect_success(k->upload(device, a, host, 1000), "upload");
    expect_success(k->copy(device, (char *)a + 500, a, 500), "copy");
    expect_success(k->zero(device, a, 10), "zero");
    expect_success(k->download(device, back, a, 1000), "download");
    expect(back[9] == 0 && memcmp(back + 10, host + 10, 490) == 0 && memcmp(back + 500, host, 500) == 0,
           "what was copied");
    expect_error(k->allocate(device, 2 << 20, &none), TS_NO_MEMORY, "2.0 MiB are needed", "are free",
                 "a request beyond the card");
    expect(!none && device->bytes == 1000 && device->peak_bytes == 1000, "it leaves no trace");
    size_t unused = 0;
    expect_success(k->free_memory(device, &unused), "free memory");
    expect(unused == card.free && unused < card.total, "it is the card's");
    expect_success(k->upload(device, a, host, 1000), "and the device lives on");
    k->release(device, a);
    k->release(device, NULL);
    expect(device->bytes == 0 && device->peak_bytes == 1000, "bytes after a release");
    k->close(device);
    expect(card.handed_out == 0, "closing frees what was left");
}

static void check_lost()
{
    ts_device *const device = good_card();
    const ts_kernels *const k = device->k;
    void *a = NULL, *b = NULL;
    expect_success(k->allocate(device, 100, &a), "allocate");
    card.next = cudaErrorIllegalAddress;
    expect_error(k->synchronize(device), TS_DEVICE, "illegal memory access", "Fake card", "a passing error");
    expect_success(k->synchronize(device), "it passes");
    card.lasting = cudaErrorIllegalAddress;
    expect_error(k->synchronize(device), TS_DEVICE, "illegal memory access", "lost", "a lasting error");
    card.lasting = cudaSuccess; /* even if the runtime forgot */
    expect_error(k->zero(device, a, 100), TS_DEVICE, "illegal memory access", "lost", "zero after it");
    expect_error(k->copy(device, a, a, 100), TS_DEVICE, "illegal memory access", "lost", "copy after it");
    expect_error(k->upload(device, a, a, 100), TS_DEVICE, "illegal memory access", "lost", "upload after it");
    expect_error(k->allocate(device, 100, &b), TS_DEVICE, "illegal memory access", "lost",
                 "allocate after it");
    expect_error(k->record_begin(device), TS_DEVICE, "illegal memory access", "lost", "record after it");
    expect_error(ts_cuda_launched(device, NULL), TS_DEVICE, "illegal memory access", "lost",
                 "launch after it");
    k->close(device);
    expect(card.handed_out == 0, "a lost device is closed");
}

static void check_recording()
{
    ts_device *const device = good_card();
    const ts_kernels *const k = device->k;
    void *a = NULL, *b = NULL, *scratch = NULL, *recording = NULL, *second = NULL;
    char text[8] = "abcdefg";
    k->allocate(device, 8, &a);
    k->allocate(device, 8, &b);
    expect_success(ts_cuda_scratch(device, 3, 64, &scratch), "scratch");
    void *const old = scratch;

    expect_success(k->record_begin(device), "record");
    expect_success(k->copy(device, b, a, 8), "copy, recorded");
    expect_success(ts_cuda_scratch(device, 3, 32, &scratch), "scratch that is there, recorded");
    expect(scratch == old, "at its place");
    expect_error(ts_cuda_scratch(device, 3, 128, &scratch), TS_INVALID, "grows", "recorded", "more scratch");
    expect_error(k->upload(device, a, text, 8), TS_INVALID, "upload", "recorded", "upload, recorded");
    expect_error(k->download(device, text, a, 8), TS_INVALID, "download", "recorded", "download, recorded");
    expect_error(k->allocate(device, 8, &scratch), TS_INVALID, "allocated", "recorded", "allocate, recorded");
    expect_error(k->synchronize(device), TS_INVALID, "wait", "recorded", "wait, recorded");
    expect_error(k->record_begin(device), TS_INVALID, "another", "recorded", "two recordings at once");
    expect_success(k->record_end(device, &recording), "end of the recording");
    expect_success(k->upload(device, a, text, 8), "upload");
    expect(memcmp(b, text, 8) != 0, "recording runs nothing");
    const uint64_t launches = device->launches;
    expect_success(k->replay(device, recording), "replay");
    expect(memcmp(b, text, 8) == 0, "a replay runs it");
    expect(device->launches == launches, "and counts as no launch");

    /* A recording holds the addresses of scratch memory, which must outlive it. */
    const size_t blocks = card.handed_out;
    expect_success(ts_cuda_scratch(device, 3, 1000, &scratch), "scratch grows");
    expect(card.handed_out == blocks + 1, "the old scratch stays");
    k->recording_free(device, recording);
    expect(card.handed_out == blocks, "until the recording goes");
    expect_success(ts_cuda_scratch(device, 3, 2000, &scratch), "scratch grows again");
    expect(card.handed_out == blocks, "now at once");
    expect_error(ts_cuda_scratch(device, TS_CUDA_SLOTS, 1, &scratch), TS_INVALID, "slot", "",
                 "a slot too many");

    expect_error(k->record_end(device, &second), TS_INVALID, "no launch sequence", "",
                 "an end without beginning");
    expect_success(k->record_begin(device), "record");
    card.next = cudaErrorStreamCaptureInvalidated;
    expect_error(k->record_end(device, &second), TS_DEVICE, "recording launches", "",
                 "a recording that failed");
    expect(!second, "is none");
    expect_success(k->record_begin(device), "the next one");
    expect_success(k->record_end(device, &second), "succeeds");
    k->recording_free(device, second);

    /* Whether an error lasts may not be asked while the stream is captured, but afterwards. */
    expect_success(k->record_begin(device), "record");
    card.next = cudaErrorIllegalAddress;
    expect_error(k->copy(device, b, a, 8), TS_DEVICE, "illegal memory access", "Fake card",
                 "an error while recording");
    expect_success(k->record_end(device, &second), "does not spoil the recording by itself");
    k->recording_free(device, second);
    k->recording_free(device, NULL);
    expect(card.graphs == 0, "no graph is left");
    expect_success(k->record_begin(device), "record");
    card.lasting = cudaErrorIllegalAddress;
    expect_error(k->copy(device, b, a, 8), TS_DEVICE, "illegal memory access", "", "a loss while recording");
    expect_error(k->record_end(device, &second), TS_DEVICE, "illegal memory access", "lost",
                 "is known at its end");
    expect(!second, "which is none");
    card.lasting = cudaSuccess;
    k->close(device);
    expect(card.handed_out == 0, "no memory is left");
}

/* A recording may hold a launch that needs more than the next one asks for. */
static void check_shared()
{
    ts_device *const device = good_card();
    card.shared = 48 << 10;
    expect_success(ts_cuda_allow_shared(device, NULL, 200 << 10), "much shared memory");
    expect(card.shared == 200 << 10, "is allowed");
    expect_success(ts_cuda_allow_shared(device, NULL, 64 << 10), "less");
    expect(card.shared == 200 << 10, "takes nothing back");
    card.next = cudaErrorIllegalAddress;
    expect_error(ts_cuda_allow_shared(device, NULL, 64 << 10), TS_DEVICE, "shared memory", "Fake card",
                 "an error on the way");
    device->k->close(device);
}

int main()
{
    check_open();
    check_memory();
    check_lost();
    check_recording();
    check_shared();
    return failures != 0;
}
