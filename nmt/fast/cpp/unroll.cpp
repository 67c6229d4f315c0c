// Unrolls a cell over a whole sequence, with recurrent products in 8-bit integers.

#ifdef __AVX512VNNI__

#include <cstdint>
#include <vector>

extern "C" {

// See products.cpp.
void multiply_int8_float32(long rows, long size, const float *inputs, long outputs,
                           long padded_size, const int8_t *values, const float *weight_scales,
                           const int32_t *offsets, const float *bias, float *product);

// See cells.cpp.
typedef void Forward(long rows, long hidden, const float *projected, long projected_stride,
                     const float *recurrent, const float *before, float *output, float *after,
                     float *kept);
Forward lstm_forward_float32, gru_forward_float32;

}  // extern "C"

namespace nmt {

// `projected` is the input contribution to the pre-activations, [positions, rows, gates]. `outputs`
// and `states`, [1 + positions, rows, hidden], hold the values before the first position and
// receive all others.
void unroll_int8(Forward forward, long positions, long rows, long hidden, const float *projected,
                 long gates, long padded_size, const int8_t *values, const float *scales,
                 const int32_t *offsets, float *outputs, float *states) {
  std::vector<float> recurrent(rows * gates);
  for (long position = 0; position < positions; ++position) {
    multiply_int8_float32(rows, hidden, outputs, gates, padded_size, values, scales, offsets,
                          nullptr, recurrent.data());
    forward(rows, hidden, projected, gates, recurrent.data(), states, outputs + rows * hidden,
            states + rows * hidden, nullptr);
    projected += rows * gates, outputs += rows * hidden, states += rows * hidden;
  }
}

}  // namespace nmt

#define NMT_UNROLL_INT8(kind)                                                                     \
  extern "C" void kind##_unroll_int8_float32(                                                     \
      long positions, long rows, long hidden, const float *projected, long gates,                 \
      long padded_size, const int8_t *values, const float *scales, const int32_t *offsets,        \
      float *outputs, float *states) {                                                            \
    nmt::unroll_int8(kind##_forward_float32, positions, rows, hidden, projected, gates,           \
                     padded_size, values, scales, offsets, outputs, states);                      \
  }

NMT_UNROLL_INT8(lstm)
NMT_UNROLL_INT8(gru)

#endif  // __AVX512VNNI__
