// Before and after a product of 8-bit integers, see nmt/layers/products.py.

#include "vectors.h"

namespace nmt {

constexpr long kWorthThreads = 1 << 16;  // values; below, waking a thread takes longer

typedef uint8_t Bytes __attribute__((vector_size(kWidth)));

// Each row as whole numbers from -127 to 127 around 128, and the scale that gives them back.
void to_bytes(long rows, long size, const float *inputs, uint8_t *bytes, float *scales) {
  const long whole = size / kWidth * kWidth;
#pragma omp parallel for schedule(static) if (rows * size > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    const float *of_row = inputs + row * size;
    uint8_t *to = bytes + row * size;
    Lanes most{};
    for (long j = 0; j < whole; j += kWidth) {
      Lanes value = load(of_row + j);
      most = larger(most, value < 0.0f ? -value : value);
    }
    float largest_value = largest(most);
    for (long j = whole; j < size; ++j) {
      float value = fabsf(of_row[j]);
      largest_value = value > largest_value ? value : largest_value;
    }
    const float scale = largest_value / 127 > 1e-12f ? largest_value / 127 : 1e-12f;
    for (long j = 0; j < whole; j += kWidth) {
      Bytes rounded = __builtin_convertvector(
          __builtin_convertvector(load(of_row + j) / scale + 128.5f, Integers), Bytes);
      memcpy(to + j, &rounded, sizeof rounded);
    }
    for (long j = whole; j < size; ++j) to[j] = uint8_t(int(of_row[j] / scale + 128.5f));
    scales[row] = scale;
  }
}

// What a product of such rows stands for: times the scale of its row, plus the bias if there is one.
void scale_rows(long rows, long outputs, float *product, const float *scales, const float *bias) {
  const long whole = outputs / kWidth * kWidth;
#pragma omp parallel for schedule(static) if (rows * outputs > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    float *of_row = product + row * outputs;
    const float scale = scales[row];
    for (long j = 0; j < whole; j += kWidth) {
      Lanes value = load(of_row + j) * scale;
      store(of_row + j, bias ? value + load(bias + j) : value);
    }
    for (long j = whole; j < outputs; ++j) of_row[j] = of_row[j] * scale + (bias ? bias[j] : 0);
  }
}

}  // namespace nmt

extern "C" void to_bytes_float32(long rows, long size, const float *inputs, uint8_t *bytes,
                                 float *scales) {
  nmt::to_bytes(rows, size, inputs, bytes, scales);
}

extern "C" void scale_rows_float32(long rows, long outputs, float *product, const float *scales,
                                   const float *bias) {
  nmt::scale_rows(rows, outputs, product, scales, bias);
}
