// Cross-entropy with label smoothing over a vocabulary, of one prediction of each token or of two;
// the gradient overwrites the logits.

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

// Returns the loss of two predictions p and q of each token, whose logits are rows 2 i and 2 i + 1,
//
//     loss = a CE(p) + b CE(q) + u KL(p || q) + v KL(q || p),
//
// and -log p of the reference. With t = (1 - smoothing) one-hot + smoothing / vocab and
// d = log p - log q,
//
//     d loss / d scores of p = a (p - t) + u p (d - KL(p || q)) + v (p - q),
//     d loss / d scores of q = b (q - t) - v q (d + KL(q || p)) + u (q - p).
template <typename T>
void pair_losses(long tokens, long vocab, T *scores, const float *bias, const int64_t *gold,
                 float smoothing, float a, float b, float u, float v, float *loss, float *nll) {
  const long whole = vocab / kWidth * kWidth;
#pragma omp parallel for schedule(static)
  for (long token = 0; token < tokens; ++token) {
    T *of_p = scores + 2 * token * vocab, *of_q = of_p + vocab;
    auto score = [&](T *row, long j) { return load(row + j) + load(bias + j); };
    auto score_of_one = [&](T *row, long j) { return load_one(row + j) + bias[j]; };

    Lanes most_p = all(-INFINITY), most_q = most_p, totals_p{}, totals_q{};
    for (long j = 0; j < whole; j += kWidth) {
      Lanes p = score(of_p, j), q = score(of_q, j);
      most_p = larger(most_p, p), most_q = larger(most_q, q);
      totals_p += p, totals_q += q;
    }
    float best_p = largest(most_p), best_q = largest(most_q);
    float total_p = sum(totals_p), total_q = sum(totals_q);
    for (long j = whole; j < vocab; ++j) {
      float p = score_of_one(of_p, j), q = score_of_one(of_q, j);
      best_p = p > best_p ? p : best_p, best_q = q > best_q ? q : best_q;
      total_p += p, total_q += q;
    }

    // Masses of both, and the means of the difference of the logits under p and under q.
    Lanes masses_p{}, masses_q{}, means_p{}, means_q{};
    for (long j = 0; j < whole; j += kWidth) {
      Lanes p = score(of_p, j) - best_p, q = score(of_q, j) - best_q;
      Lanes apart = p - q, mass_p = exp(p), mass_q = exp(q);
      masses_p += mass_p, masses_q += mass_q;
      means_p += mass_p * apart, means_q += mass_q * apart;
    }
    float mass_p = sum(masses_p), mass_q = sum(masses_q);
    float mean_p = sum(means_p), mean_q = sum(means_q);
    for (long j = whole; j < vocab; ++j) {
      float p = score_of_one(of_p, j) - best_p, q = score_of_one(of_q, j) - best_q;
      float one_p = expf(p), one_q = expf(q);
      mass_p += one_p, mass_q += one_q;
      mean_p += one_p * (p - q), mean_q += one_q * (p - q);
    }
    const float shift = logf(mass_p) - logf(mass_q);
    const float p_to_q = mean_p / mass_p - shift, q_to_p = shift - mean_q / mass_q;

    const float log_mass_p = best_p + logf(mass_p), log_mass_q = best_q + logf(mass_q);
    const long y = gold[token];
    const float nll_q = log_mass_q - score_of_one(of_q, y);
    nll[token] = log_mass_p - score_of_one(of_p, y);
    loss[token] = a * ((1 - smoothing) * nll[token] + smoothing * (log_mass_p - total_p / vocab)) +
                  b * ((1 - smoothing) * nll_q + smoothing * (log_mass_q - total_q / vocab)) +
                  u * p_to_q + v * q_to_p;

    const float even = smoothing / vocab;
    auto gradients = [&](auto log_p, auto log_q, auto p, auto q, auto &grad_p, auto &grad_q) {
      auto d = log_p - log_q, apart = p - q;
      grad_p = a * (p - even) + u * p * (d - p_to_q) + v * apart;
      grad_q = b * (q - even) - v * q * (d + q_to_p) - u * apart;
    };
    auto gradients_of_one = [&](long j, float &grad_p, float &grad_q) {
      float log_p = score_of_one(of_p, j) - log_mass_p, log_q = score_of_one(of_q, j) - log_mass_q;
      gradients(log_p, log_q, expf(log_p), expf(log_q), grad_p, grad_q);
    };
    float of_y_p, of_y_q;  // before the logits are overwritten
    gradients_of_one(y, of_y_p, of_y_q);
    for (long j = 0; j < whole; j += kWidth) {
      Lanes log_p = score(of_p, j) - log_mass_p, log_q = score(of_q, j) - log_mass_q;
      Lanes grad_p, grad_q;
      gradients(log_p, log_q, exp(log_p), exp(log_q), grad_p, grad_q);
      store(of_p + j, grad_p);
      store(of_q + j, grad_q);
    }
    for (long j = whole; j < vocab; ++j) {
      float grad_p, grad_q;
      gradients_of_one(j, grad_p, grad_q);
      store_one(of_p + j, grad_p);
      store_one(of_q + j, grad_q);
    }
    store_one(of_p + y, of_y_p - a * (1 - smoothing));
    store_one(of_q + y, of_y_q - b * (1 - smoothing));
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
  extern "C" void pair_losses_##suffix(long tokens, long vocab, T *scores, const float *bias,       \
                                       const int64_t *gold, float smoothing, float a, float b,     \
                                       float u, float v, float *loss, float *nll) {                \
    nmt::pair_losses<T>(tokens, vocab, scores, bias, gold, smoothing, a, b, u, v, loss, nll);      \
  }                                                                                               \
  extern "C" void sum_rows_##suffix(long rows, long columns, const T *values, float *sums) {      \
    nmt::sum_rows<T>(rows, columns, values, sums);                                                \
  }

NMT_LOSS(float, float32)
NMT_LOSS(nmt::bfloat16, bfloat16)
