// Cross-entropy with label smoothing over a vocabulary; the gradient overwrites the logits.

#include "vectors.h"

namespace nmt {

// Returns the loss and the negative log-likelihood of the reference for each row, in nats. With the
// target distribution q = (1 - smoothing) one-hot + smoothing / vocab,
//
//     loss = -sum_j q_j log p_j,    d loss / d scores = p - q.
template <typename T>
void cross_entropy(long rows, long vocab, T *scores, const float *bias, const int64_t *gold,
                   float smoothing, float *loss, float *nll) {
  const long whole = vocab / kWidth * kWidth;
#pragma omp parallel for schedule(static)
  for (long row = 0; row < rows; ++row) {
    T *of_row = scores + row * vocab;
    auto score = [&](long j) { return load(of_row + j) + load(bias + j); };
    auto score_of_one = [&](long j) { return load_one(of_row + j) + bias[j]; };

    Lanes most = all(-INFINITY), totals{};
    for (long j = 0; j < whole; j += kWidth) {
      Lanes s = score(j);
      most = larger(most, s);
      totals += s;
    }
    float best = largest(most), total = sum(totals);
    for (long j = whole; j < vocab; ++j) {
      float s = score_of_one(j);
      best = s > best ? s : best;
      total += s;
    }

    Lanes masses{};
    for (long j = 0; j < whole; j += kWidth) masses += exp(score(j) - best);
    float mass = sum(masses);
    for (long j = whole; j < vocab; ++j) mass += expf(score_of_one(j) - best);

    const float log_mass = best + logf(mass), even = smoothing / vocab;
    const long y = gold[row];
    nll[row] = log_mass - score_of_one(y);
    loss[row] = (1 - smoothing) * nll[row] + smoothing * (log_mass - total / vocab);
    for (long j = 0; j < whole; j += kWidth) store(of_row + j, exp(score(j) - log_mass) - even);
    for (long j = whole; j < vocab; ++j)
      store_one(of_row + j, expf(score_of_one(j) - log_mass) - even);
    store_one(of_row + y, expf(-nll[row]) - even - (1 - smoothing));
  }
}

// Sums over rows, [columns]. Each thread sums some columns over all rows, so the order of additions
// does not depend on the number of threads.
template <typename T>
void sum_rows(long rows, long columns, const T *values, float *sums) {
  constexpr long kBlock = 8 * kWidth;
  const long whole = columns / kBlock * kBlock;
#pragma omp parallel for schedule(static)
  for (long begin = 0; begin < whole; begin += kBlock) {
    Lanes block[8] = {};
    for (long row = 0; row < rows; ++row)
      for (long i = 0; i < 8; ++i) block[i] += load(values + row * columns + begin + i * kWidth);
    for (long i = 0; i < 8; ++i) store(sums + begin + i * kWidth, block[i]);
  }
  for (long j = whole; j < columns; ++j) {
    sums[j] = 0;
    for (long row = 0; row < rows; ++row) sums[j] += load_one(values + row * columns + j);
  }
}

}  // namespace nmt

#define NMT_LOSS(T, suffix)                                                                       \
  extern "C" void cross_entropy_##suffix(long rows, long vocab, T *scores, const float *bias,     \
                                         const int64_t *gold, float smoothing, float *loss,       \
                                         float *nll) {                                            \
    nmt::cross_entropy<T>(rows, vocab, scores, bias, gold, smoothing, loss, nll);                 \
  }                                                                                               \
  extern "C" void sum_rows_##suffix(long rows, long columns, const T *values, float *sums) {      \
    nmt::sum_rows<T>(rows, columns, values, sums);                                                \
  }

NMT_LOSS(float, float32)
NMT_LOSS(nmt::bfloat16, bfloat16)
