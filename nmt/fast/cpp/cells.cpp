// Gates of LSTM and GRU cells, forward and backward. The matrix products are computed elsewhere.
//
// LSTM and GRU functions share one signature, so some parameters are unused. Pre-activations are
// the sum of an input contribution, `projected`, and a recurrent contribution, `recurrent`. If
// `kept` is not null, the forward pass stores what the backward pass needs: 4 * hidden values per
// row.
//
// Rows are divided among threads. T, float or bfloat16, is the type of the products. State that
// accumulates over time is float: the cell state of an LSTM, and the hidden state of a GRU, whose
// `output` is a copy in T.

#include "vectors.h"

namespace nmt {

constexpr long kWorthThreads = 1 << 14;  // values; below this, waking threads takes longer

// Each gate is a block of `hidden` values.
template <typename T, typename... Gates>
inline void store_blocks(T *place, long hidden, Gates... gates) {
  ((store(place, gates), place += hidden), ...);
}

// See LstmCell in nmt/layers/cells.py for the equations. Keeps i, f, g and o. Both contributions
// have the same gradient, which is written once, to `grad_recurrent`.
template <typename T>
void lstm_forward(long rows, long hidden, const T *projected, long projected_stride,
                  const T *recurrent, const float *before, T *output, float *after, T *kept) {
#pragma omp parallel for schedule(static) if (rows * hidden > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    for (long j = 0; j < hidden; j += kWidth) {
      const T *p = projected + row * projected_stride + j, *q = recurrent + row * 4 * hidden + j;
      Lanes i = sigmoid(load(p) + load(q));
      Lanes f = sigmoid(load(p + hidden) + load(q + hidden));
      Lanes g = tanh(load(p + 2 * hidden) + load(q + 2 * hidden));
      Lanes o = sigmoid(load(p + 3 * hidden) + load(q + 3 * hidden));
      Lanes cell = f * load(before + row * hidden + j) + i * g;
      store(after + row * hidden + j, cell);
      store(output + row * hidden + j, o * tanh(cell));
      if (kept) store_blocks(kept + row * 4 * hidden + j, hidden, i, f, g, o);
    }
  }
}

template <typename T>
void lstm_backward(long rows, long hidden, const T *kept, const float *before, const float *after,
                   const T *grad_output, const float *grad_after, T *, T *grad_recurrent,
                   float *grad_before) {
#pragma omp parallel for schedule(static) if (rows * hidden > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    for (long j = 0; j < hidden; j += kWidth) {
      long at = row * hidden + j;
      const T *k = kept + row * 4 * hidden + j;
      Lanes i = load(k), f = load(k + hidden), g = load(k + 2 * hidden), o = load(k + 3 * hidden);
      Lanes squashed = tanh(load(after + at));
      Lanes grad_hidden = load(grad_output + at);
      Lanes grad_cell = grad_hidden * o * (1.0f - squashed * squashed);
      if (grad_after) grad_cell += load(grad_after + at);
      Lanes grad_i = grad_cell * g * i * (1.0f - i), grad_g = grad_cell * i * (1.0f - g * g);
      Lanes grad_f = grad_cell * load(before + at) * f * (1.0f - f);
      Lanes grad_o = grad_hidden * squashed * o * (1.0f - o);
      store_blocks(grad_recurrent + row * 4 * hidden + j, hidden, grad_i, grad_f, grad_g, grad_o);
      store(grad_before + at, grad_cell * f);
    }
  }
}

// See GruCell with reset = "after" the product. Keeps r, z, n and the recurrent product inside n.
template <typename T>
void gru_forward(long rows, long hidden, const T *projected, long projected_stride,
                 const T *recurrent, const float *before, T *output, float *after, T *kept) {
#pragma omp parallel for schedule(static) if (rows * hidden > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    for (long j = 0; j < hidden; j += kWidth) {
      const T *p = projected + row * projected_stride + j, *q = recurrent + row * 3 * hidden + j;
      Lanes r = sigmoid(load(p) + load(q));
      Lanes z = sigmoid(load(p + hidden) + load(q + hidden));
      Lanes product = load(q + 2 * hidden);
      Lanes n = tanh(load(p + 2 * hidden) + r * product);
      Lanes state = n + z * (load(before + row * hidden + j) - n);
      store(after + row * hidden + j, state);
      store(output + row * hidden + j, state);
      if (kept) store_blocks(kept + row * 4 * hidden + j, hidden, r, z, n, product);
    }
  }
}

template <typename T>
void gru_backward(long rows, long hidden, const T *kept, const float *before, const float *,
                  const T *grad_output, const float *grad_after, T *grad_projected,
                  T *grad_recurrent, float *grad_before) {
#pragma omp parallel for schedule(static) if (rows * hidden > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    for (long j = 0; j < hidden; j += kWidth) {
      long at = row * hidden + j;
      const T *k = kept + row * 4 * hidden + j;
      Lanes r = load(k), z = load(k + hidden), n = load(k + 2 * hidden);
      Lanes product = load(k + 3 * hidden), of = load(grad_output + at);
      if (grad_after) of += load(grad_after + at);
      Lanes grad_n = of * (1.0f - z) * (1.0f - n * n);
      Lanes grad_r = grad_n * product * r * (1.0f - r);
      Lanes grad_z = of * (load(before + at) - n) * z * (1.0f - z);
      store_blocks(grad_projected + row * 3 * hidden + j, hidden, grad_r, grad_z, grad_n);
      store_blocks(grad_recurrent + row * 3 * hidden + j, hidden, grad_r, grad_z, grad_n * r);
      store(grad_before + at, of * z);
    }
  }
}

}  // namespace nmt

#define NMT_CELL(kind, T, suffix)                                                                 \
  extern "C" void kind##_forward_##suffix(                                                        \
      long rows, long hidden, const T *projected, long projected_stride, const T *recurrent,      \
      const float *before, T *output, float *after, T *kept) {                                    \
    nmt::kind##_forward<T>(rows, hidden, projected, projected_stride, recurrent, before, output,  \
                           after, kept);                                                          \
  }                                                                                               \
  extern "C" void kind##_backward_##suffix(                                                       \
      long rows, long hidden, const T *kept, const float *before, const float *after,             \
      const T *grad_output, const float *grad_after, T *grad_projected, T *grad_recurrent,        \
      float *grad_before) {                                                                       \
    nmt::kind##_backward<T>(rows, hidden, kept, before, after, grad_output, grad_after,           \
                            grad_projected, grad_recurrent, grad_before);                         \
  }

NMT_CELL(lstm, float, float32)
NMT_CELL(lstm, nmt::bfloat16, bfloat16)
NMT_CELL(gru, float, float32)
NMT_CELL(gru, nmt::bfloat16, bfloat16)
