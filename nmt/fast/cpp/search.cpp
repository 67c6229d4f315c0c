// The operations of a search step on logits over a vocabulary.

#include "vectors.h"

namespace nmt {

constexpr long kWorthThreads = 1 << 16;  // scores; below this, waking threads takes longer

// log sum_j exp(scores_j) of each row; -inf if all its scores are -inf.
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

// The `count` best continuations of each sentence, best first; ties go to the lower parent, then
// the lower piece. Hypothesis k of `copies`, continued by piece j, has the log-probability
//
//     (scores_kj - log_masses_k) + sums_k
//
// compared in float, relative to the sentence's first sum, and returned in double. If fewer than
// `count` continuations exist, the rest have log-probability -inf, parent 0 and piece 0. NaN in a
// live hypothesis makes the sentence's first log-probability NaN.
template <typename T>
void best_continuations(long sentences, long copies, long vocab, const T *scores,
                        const float *log_masses, const double *sums, long count,
                        double *log_probs, int64_t *parents, int64_t *pieces) {
  const long whole = vocab / kWidth * kWidth;
#pragma omp parallel for schedule(dynamic) if (sentences * copies * vocab > kWorthThreads)
  for (long sentence = 0; sentence < sentences; ++sentence) {
    double *best = log_probs + sentence * count;  // relative to `base` until the end
    int64_t *parent = parents + sentence * count, *piece = pieces + sentence * count;
    for (long i = 0; i < count; ++i) best[i] = -INFINITY, parent[i] = 0, piece[i] = 0;
    const double first = sums[sentence * copies], base = std::isfinite(first) ? first : 0;
    float least = -INFINITY;  // the lowest of the best
    bool has_nan = false;

    auto insert = [&](float value, long k, long j) {
      long i = count - 1;
      for (; i > 0 && best[i - 1] < value; --i) {
        best[i] = best[i - 1], parent[i] = parent[i - 1], piece[i] = piece[i - 1];
      }
      best[i] = value, parent[i] = k, piece[i] = j;
      least = best[count - 1];
    };

    for (long k = 0; k < copies; ++k) {
      const long row = sentence * copies + k;
      const T *of_row = scores + row * vocab;
      const float log_mass = log_masses[row], so_far = sums[row] - base;
      if (so_far == -INFINITY) continue;
      Integers broken{};
      for (long j = 0; j < whole; j += kWidth) {
        Lanes value = (load(of_row + j) - log_mass) + so_far;
        broken |= value != value;
        if (!any(value > least)) continue;
        for (long lane = 0; lane < kWidth; ++lane)
          if (value[lane] > least) insert(value[lane], k, j + lane);
      }
      for (long j = whole; j < vocab; ++j) {
        float value = (load_one(of_row + j) - log_mass) + so_far;
        has_nan |= std::isnan(value);
        if (value > least) insert(value, k, j);
      }
      has_nan |= any(broken);
    }
    for (long i = 0; i < count; ++i) best[i] += base;
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
      const double *sums, long count, double *log_probs, int64_t *parents, int64_t *pieces) {     \
    nmt::best_continuations<T>(sentences, copies, vocab, scores, log_masses, sums, count,         \
                               log_probs, parents, pieces);                                       \
  }

NMT_SEARCH(float, float32)
NMT_SEARCH(nmt::bfloat16, bfloat16)
