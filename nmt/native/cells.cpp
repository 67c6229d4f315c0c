// The gates of LSTM and GRU cells, forwards and backwards; the products are not done here.
//
// All four functions have a place for everything that one of them needs. Gates are the sum of two
// shares: `projected`, of the input, and `recurrent`, of the last output. What the way back needs
// is `kept` if there is a place for it: four values for each of a row.
//
// Rows are shared among threads. T, float or bfloat16, is the type of the products. What a cell
// sums up over time is float: the `cell` of an LSTM, and the state of a GRU, whose `output` is a
// copy of it in T.

#include "vectors.h"

namespace nmt {

constexpr long kWorthThreads = 1 << 14;  // values; below, waking a thread takes longer

// Each gate is a block of `hidden` values.
template <typename T, typename... Gates>
inline void store_blocks(T *place, long hidden, Gates... gates) {
  ((store(place, gates), place += hidden), ...);
}

// See LstmCell in nmt/layers/cells.py for the equations. Kept are i, f, g and o. Both shares have
// the same gradient: it is written once, to `of_recurrent`.
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
                   const T *of_output, const float *of_after, T *, T *of_recurrent,
                   float *of_before) {
#pragma omp parallel for schedule(static) if (rows * hidden > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    for (long j = 0; j < hidden; j += kWidth) {
      long at = row * hidden + j;
      const T *k = kept + row * 4 * hidden + j;
      Lanes i = load(k), f = load(k + hidden), g = load(k + 2 * hidden), o = load(k + 3 * hidden);
      Lanes squashed = tanh(load(after + at));
      Lanes of_hidden = load(of_output + at);
      Lanes of_cell = of_hidden * o * (1.0f - squashed * squashed);
      if (of_after) of_cell += load(of_after + at);
      Lanes of_i = of_cell * g * i * (1.0f - i), of_g = of_cell * i * (1.0f - g * g);
      Lanes of_f = of_cell * load(before + at) * f * (1.0f - f);
      Lanes of_o = of_hidden * squashed * o * (1.0f - o);
      store_blocks(of_recurrent + row * 4 * hidden + j, hidden, of_i, of_f, of_g, of_o);
      store(of_before + at, of_cell * f);
    }
  }
}

// See GruCell, with the reset "after" the product. Kept are r, z, n and the product inside n.
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
                  const T *of_output, const float *of_after, T *of_projected, T *of_recurrent,
                  float *of_before) {
#pragma omp parallel for schedule(static) if (rows * hidden > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    for (long j = 0; j < hidden; j += kWidth) {
      long at = row * hidden + j;
      const T *k = kept + row * 4 * hidden + j;
      Lanes r = load(k), z = load(k + hidden), n = load(k + 2 * hidden);
      Lanes product = load(k + 3 * hidden), of = load(of_output + at);
      if (of_after) of += load(of_after + at);
      Lanes of_n = of * (1.0f - z) * (1.0f - n * n);
      Lanes of_r = of_n * product * r * (1.0f - r);
      Lanes of_z = of * (load(before + at) - n) * z * (1.0f - z);
      store_blocks(of_projected + row * 3 * hidden + j, hidden, of_r, of_z, of_n);
      store_blocks(of_recurrent + row * 3 * hidden + j, hidden, of_r, of_z, of_n * r);
      store(of_before + at, of * z);
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
      const T *of_output, const float *of_after, T *of_projected, T *of_recurrent,                \
      float *of_before) {                                                                         \
    nmt::kind##_backward<T>(rows, hidden, kept, before, after, of_output, of_after, of_projected, \
                            of_recurrent, of_before);                                             \
  }

NMT_CELL(lstm, float, float32)
NMT_CELL(lstm, nmt::bfloat16, bfloat16)
NMT_CELL(gru, float, float32)
NMT_CELL(gru, nmt::bfloat16, bfloat16)
