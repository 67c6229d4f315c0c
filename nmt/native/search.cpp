// What a step of a search asks of the scores over a vocabulary.

#include "vectors.h"

namespace nmt {

constexpr long kWorthThreads = 1 << 16;  // scores; below, waking a thread takes longer

// log sum_j exp(scores_j) of each row; of a row of nothing but -inf, -inf.
template <typename T>
void log_sum_exp(long rows, long vocab, const T *scores, float *log_masses) {
  const long whole = vocab / kWidth * kWidth;
#pragma omp parallel for schedule(static) if (rows * vocab > kWorthThreads)
  for (long row = 0; row < rows; ++row) {
    const T *of_row = scores + row * vocab;
    Lanes most = all(-INFINITY);
    for (long j = 0; j < whole; j += kWidth) most = larger(most, load(of_row + j));
    float best = largest(most);
    for (long j = whole; j < vocab; ++j) {
      float score = load_one(of_row + j);
      best = score > best ? score : best;
    }
    const float shift = best == -INFINITY ? 0 : best;
    Lanes masses{};
    for (long j = 0; j < whole; j += kWidth) {
      Lanes score = load(of_row + j);
      masses += score == -INFINITY ? Lanes{} : exp(score - shift);
    }
    float mass = sum(masses);
    for (long j = whole; j < vocab; ++j) mass += expf(load_one(of_row + j) - shift);
    log_masses[row] = shift + logf(mass);
  }
}

// The `count` best continuations of each sentence, best first, ties by lower index: hypothesis k of
// `copies` by piece j has the value
//
//     (scores_kj - log_masses_k) + sums_k
//
// and the index k * vocab + j. Of the first `specials` pieces, `open` says which are allowed,
// [sentences, specials]. Where fewer are left, the value is -inf and the index 0. NaN in a living
// hypothesis makes the sentence's first value NaN.
template <typename T>
void best_continuations(long sentences, long copies, long vocab, const T *scores,
                        const float *log_masses, const float *sums, long specials,
                        const uint8_t *open, long count, float *values, int64_t *indices) {
  const long whole = vocab / kWidth * kWidth;
#pragma omp parallel for schedule(dynamic) if (sentences * copies * vocab > kWorthThreads)
  for (long sentence = 0; sentence < sentences; ++sentence) {
    float *best = values + sentence * count;
    int64_t *where = indices + sentence * count;
    for (long i = 0; i < count; ++i) best[i] = -INFINITY, where[i] = 0;
    bool has_nan = false;

    auto insert = [&](float value, long row, long j) {
      if (j < specials && !open[sentence * specials + j]) return;
      long i = count - 1;
      for (; i > 0 && best[i - 1] < value; --i) best[i] = best[i - 1], where[i] = where[i - 1];
      best[i] = value, where[i] = row * vocab + j;
    };

    for (long k = 0; k < copies; ++k) {
      const long row = sentence * copies + k;
      const T *of_row = scores + row * vocab;
      const float log_mass = log_masses[row], so_far = sums[row];
      if (so_far == -INFINITY) continue;
      Integers broken{};
      for (long j = 0; j < whole; j += kWidth) {
        Lanes value = (load(of_row + j) - log_mass) + so_far;
        broken |= value != value;
        Integers better = value > best[count - 1];
        if (!any(better)) continue;
        for (long lane = 0; lane < kWidth; ++lane)
          if (value[lane] > best[count - 1]) insert(value[lane], k, j + lane);
      }
      for (long j = whole; j < vocab; ++j) {
        float value = (load_one(of_row + j) - log_mass) + so_far;
        has_nan |= std::isnan(value);
        if (value > best[count - 1]) insert(value, k, j);
      }
      has_nan |= any(broken);
    }
    if (has_nan) best[0] = NAN;
  }
}

}  // namespace nmt

#define NMT_SEARCH(T, suffix)                                                                     \
  extern "C" void log_sum_exp_##suffix(long rows, long vocab, const T *scores,                    \
                                       float *log_masses) {                                       \
    nmt::log_sum_exp<T>(rows, vocab, scores, log_masses);                                         \
  }                                                                                               \
  extern "C" void best_continuations_##suffix(                                                    \
      long sentences, long copies, long vocab, const T *scores, const float *log_masses,          \
      const float *sums, long specials, const uint8_t *open, long count, float *values,           \
      int64_t *indices) {                                                                         \
    nmt::best_continuations<T>(sentences, copies, vocab, scores, log_masses, sums, specials,      \
                               open, count, values, indices);                                     \
  }

NMT_SEARCH(float, float32)
NMT_SEARCH(nmt::bfloat16, bfloat16)
