// Products of 8-bit integers; see nmt/fast/int8.py.

#include <vector>

#include "vectors.h"

#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

namespace nmt {

constexpr long kWorthThreads = 1 << 16;  // values; below this, waking threads takes longer

typedef uint8_t Bytes __attribute__((vector_size(kWidth)));

// Quantizes a row to whole numbers from -127 to 127, stored with zero point 128. Returns the scale
// for dequantizing, or NaN if the row contains NaN.
inline float round_row(long size, const float *inputs, uint8_t *bytes) {
  const long whole = size / kWidth * kWidth;
  Lanes most{};
  Integers no_numbers{};
  for (long j = 0; j < whole; j += kWidth) {
    Lanes value = load(inputs + j);
    most = larger(most, value < 0.0f ? -value : value);
    no_numbers |= value != value;
  }
  float largest_value = largest(most);
  bool has_nan = any(no_numbers);
  for (long j = whole; j < size; ++j) {
    float value = fabsf(inputs[j]);
    largest_value = value > largest_value ? value : largest_value;
    has_nan |= value != value;
  }
  const float scale = largest_value / 127 > 1e-12f ? largest_value / 127 : 1e-12f;
  for (long j = 0; j < whole; j += kWidth) {
    Bytes rounded = __builtin_convertvector(
        __builtin_convertvector(load(inputs + j) / scale + 128.5f, Integers), Bytes);
    memcpy(bytes + j, &rounded, sizeof rounded);
  }
  for (long j = whole; j < size; ++j) bytes[j] = uint8_t(int(inputs[j] / scale + 128.5f));
  return has_nan ? NAN : scale;
}

void to_bytes(long rows, long size, const float *inputs, uint8_t *bytes, float *scales) {
#pragma omp parallel for schedule(static) if (rows * size > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    scales[row] = round_row(size, inputs + row * size, bytes + row * size);
  }
}

// Dequantizes a product of such rows: multiplies by each row's scale and adds the bias, if any.
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

#ifdef __AVX512VNNI__

// Weights are stored in blocks of kWidth outputs, and within a block in groups of four inputs:
// [blocks, size / 4, kWidth, 4]. One instruction then multiplies four inputs by their weights for
// kWidth outputs. Sizes and outputs are padded with zeros. The inputs' zero point of 128 adds a
// constant to each sum, so the sum starts at the negative of this constant.
constexpr long kFour = 4;
constexpr long kTileRows = 6, kTileBlocks = 4;  // 24 sums, 4 weights and an input in 32 registers
constexpr long kWorthTwo = 1 << 18;             // products; below this, one thread is faster

struct Weights {
  long outputs, padded_size;
  const int8_t *values;    // [blocks, padded_size / 4, kWidth, 4]
  const float *scales;     // [blocks * kWidth]
  const int32_t *offsets;  // initial value of each sum, [blocks * kWidth]
};

template <int rows, int blocks>
inline void multiply_tile(const Weights &weights, long block, const uint8_t *bytes,
                          const float *scales, const float *bias, float *product) {
  Integers sums[rows][blocks];  // not __m512i, which may alias anything and would stay in memory
  const long size = weights.padded_size, block_size = size * kWidth, first = block * kWidth;
#pragma GCC unroll 8  // sums must stay in registers, so every loop over them must be unrolled
  for (int b = 0; b < blocks; ++b) {
    const Integers offset = (Integers)_mm512_loadu_si512(weights.offsets + first + b * kWidth);
#pragma GCC unroll 8
    for (int row = 0; row < rows; ++row) sums[row][b] = offset;
  }
  const int8_t *values = weights.values + block * block_size;
  for (long k = 0; k < size; k += kFour) {
    __m512i of_blocks[blocks];
#pragma GCC unroll 8
    for (int b = 0; b < blocks; ++b) {
      of_blocks[b] = _mm512_loadu_si512(values + b * block_size + k * kWidth);
    }
#pragma GCC unroll 8
    for (int row = 0; row < rows; ++row) {
      int32_t four;
      memcpy(&four, bytes + row * size + k, sizeof four);
      const __m512i inputs = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (int b = 0; b < blocks; ++b) {
        sums[row][b] = (Integers)_mm512_dpbusd_epi32((__m512i)sums[row][b], inputs, of_blocks[b]);
      }
    }
  }
#pragma GCC unroll 8
  for (int b = 0; b < blocks; ++b) {
    const long at = first + b * kWidth;
    const long left = weights.outputs - at;
    const __mmask16 real = left < kWidth ? (1 << left) - 1 : 0xffff;
    const __m512 scale = _mm512_loadu_ps(weights.scales + at);
    const __m512 added = bias ? _mm512_maskz_loadu_ps(real, bias + at) : _mm512_setzero_ps();
#pragma GCC unroll 8
    for (int row = 0; row < rows; ++row) {
      const __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)sums[row][b]), scale);
      const __m512 whole = _mm512_fmadd_ps(value, _mm512_set1_ps(scales[row]), added);
      _mm512_mask_storeu_ps(product + row * weights.outputs + at, real, whole);
    }
  }
}

template <int blocks>
void multiply_blocks(const Weights &weights, long block, long rows, const uint8_t *bytes,
                     const float *scales, const float *bias, float *product) {
  long row = 0;
  auto tile = [&](auto multiply, long count) {
    multiply(weights, block, bytes + row * weights.padded_size, scales + row, bias,
             product + row * weights.outputs);
    row += count;
  };
  while (rows - row >= kTileRows) tile(multiply_tile<kTileRows, blocks>, kTileRows);
  switch (rows - row) {
    case 5: tile(multiply_tile<5, blocks>, 5); break;
    case 4: tile(multiply_tile<4, blocks>, 4); break;
    case 3: tile(multiply_tile<3, blocks>, 3); break;
    case 2: tile(multiply_tile<2, blocks>, 2); break;
    case 1: tile(multiply_tile<1, blocks>, 1); break;
  }
}

// Quantizes the inputs [rows, size] and multiplies them by the weights.
void multiply_int8(long rows, long size, const float *inputs, const Weights &weights,
                   const float *bias, float *product) {
  // Buffers are reused by later products; all threads of the loops below share the caller's.
  static thread_local std::vector<uint8_t> rounded;
  static thread_local std::vector<float> row_scales;
  rounded.resize(rows * weights.padded_size);
  row_scales.resize(rows);
  uint8_t *const bytes = rounded.data();
  float *const scales = row_scales.data();
  const long blocks = (weights.outputs + kWidth - 1) / kWidth;
  const long groups = (blocks + kTileBlocks - 1) / kTileBlocks;
#pragma omp parallel if (rows * weights.outputs * size > kWorthTwo)
  {
#pragma omp for schedule(static)
    for (long row = 0; row < rows; ++row) {
      uint8_t *of_row = bytes + row * weights.padded_size;
      scales[row] = round_row(size, inputs + row * size, of_row);
      for (long j = size; j < weights.padded_size; ++j) of_row[j] = 0;
    }
#pragma omp for schedule(static)
    for (long group = 0; group < groups; ++group) {
      const long block = group * kTileBlocks;
      if (blocks - block >= kTileBlocks) {
        multiply_blocks<kTileBlocks>(weights, block, rows, bytes, scales, bias, product);
      } else {
        for (long b = block; b < blocks; ++b) {
          multiply_blocks<1>(weights, b, rows, bytes, scales, bias, product);
        }
      }
    }
  }
}

#endif  // __AVX512VNNI__

}  // namespace nmt

extern "C" void to_bytes_float32(long rows, long size, const float *inputs, uint8_t *bytes,
                                 float *scales) {
  nmt::to_bytes(rows, size, inputs, bytes, scales);
}

extern "C" void scale_rows_float32(long rows, long outputs, float *product, const float *scales,
                                   const float *bias) {
  nmt::scale_rows(rows, outputs, product, scales, bias);
}

#ifdef __AVX512VNNI__
extern "C" void multiply_int8_float32(long rows, long size, const float *inputs, long outputs,
                                      long padded_size, const int8_t *values,
                                      const float *weight_scales, const int32_t *offsets,
                                      const float *bias, float *product) {
  nmt::multiply_int8(rows, size, inputs, {outputs, padded_size, values, weight_scales, offsets},
                     bias, product);
}
#endif
