// Attention with scores q . k (see nmt/layers/attention.py) for a few queries per sentence.

#include "vectors.h"

namespace nmt {

constexpr long kWorthThreads = 1 << 15;  // multiplications; below this, waking threads takes longer
constexpr long kAtOnce = 8;              // vectors accumulated in registers

struct AttentionSizes {
  long sentences, queries, length, key, memory;  // key and memory are multiples of kWidth

  bool worth_threads() const {
    return sentences * queries * length * (key + memory) > kWorthThreads;
  }
};

template <typename T>
inline float dot(long size, const T *a, const T *b) {
  Lanes sums[4] = {};
  long j = 0;
  for (; j + 4 * kWidth <= size; j += 4 * kWidth) {
    for (long i = 0; i < 4; ++i) sums[i] += load(a + j + i * kWidth) * load(b + j + i * kWidth);
  }
  for (; j < size; j += kWidth) sums[0] += load(a + j) * load(b + j);
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Weighted sum of the rows of a matrix [length, size].
template <typename T>
inline void sum_weighted(long length, long size, const float *factors, const T *rows, T *sums) {
  long j = 0;
  for (; j + kAtOnce * kWidth <= size; j += kAtOnce * kWidth) {
    Lanes lanes[kAtOnce] = {};
    for (long s = 0; s < length; ++s) {
      if (factors[s] == 0.0f) continue;  // padding
      const T *row = rows + s * size + j;
      for (long i = 0; i < kAtOnce; ++i) lanes[i] += load(row + i * kWidth) * factors[s];
    }
    for (long i = 0; i < kAtOnce; ++i) store(sums + j + i * kWidth, lanes[i]);
  }
  for (; j < size; j += kWidth) {
    Lanes lanes{};
    for (long s = 0; s < length; ++s) {
      if (factors[s] != 0.0f) lanes += load(rows + s * size + j) * factors[s];
    }
    store(sums + j, lanes);
  }
}

// Softmax of q . k / temperature over the real positions of the sentence, and the states averaged
// with these weights.
template <typename T>
void attend(const AttentionSizes &sizes, const T *queries, const T *keys, const T *states,
            const uint8_t *real, float temperature, float *weights, T *contexts) {
#pragma omp parallel for schedule(static) if (sizes.worth_threads())
  for (long row = 0; row < sizes.sentences * sizes.queries; ++row) {
    const long length = sizes.length, sentence = row / sizes.queries;
    const T *own_keys = keys + sentence * length * sizes.key;
    const uint8_t *own_real = real + sentence * length;
    float *own = weights + row * length;
    float most = -INFINITY;
    for (long s = 0; s < length; ++s) {
      if (!own_real[s]) continue;
      own[s] = dot(sizes.key, queries + row * sizes.key, own_keys + s * sizes.key) / temperature;
      most = own[s] > most ? own[s] : most;
    }
    float mass = 0;
    for (long s = 0; s < length; ++s) {
      own[s] = own_real[s] ? expf(own[s] - most) : 0.0f;
      mass += own[s];
    }
    for (long s = 0; s < length; ++s) own[s] /= mass;
    sum_weighted(length, sizes.memory, own, states + sentence * length * sizes.memory,
                 contexts + row * sizes.memory);
  }
}

// Gradients of the scores (before softmax) and of the queries. The gradients of keys and states are
// products over all queries of a sentence and are computed elsewhere. `grad_weights` may be null.
template <typename T>
void attend_backward(const AttentionSizes &sizes, const T *keys, const T *states,
                     const float *weights, float temperature, const T *grad_contexts,
                     const float *grad_weights, float *grad_scores, T *grad_queries) {
#pragma omp parallel for schedule(static) if (sizes.worth_threads())
  for (long row = 0; row < sizes.sentences * sizes.queries; ++row) {
    const long length = sizes.length, sentence = row / sizes.queries;
    const T *own_states = states + sentence * length * sizes.memory;
    const float *own_weights = weights + row * length;
    const T *grad_context = grad_contexts + row * sizes.memory;
    float *own = grad_scores + row * length;
    float mean = 0;
    for (long s = 0; s < length; ++s) {
      own[s] = grad_weights ? grad_weights[row * length + s] : 0.0f;
      if (own_weights[s] == 0.0f) continue;
      own[s] += dot(sizes.memory, grad_context, own_states + s * sizes.memory);
      mean += own_weights[s] * own[s];
    }
    for (long s = 0; s < length; ++s) own[s] = own_weights[s] * (own[s] - mean) / temperature;
    sum_weighted(length, sizes.key, own, keys + sentence * length * sizes.key,
                 grad_queries + row * sizes.key);
  }
}

}  // namespace nmt

#define NMT_ATTENTION(T, suffix)                                                                  \
  extern "C" void attend_##suffix(long sentences, long queries_each, long length, long key,       \
                                  long memory, const T *queries, const T *keys, const T *states,  \
                                  const uint8_t *real, float temperature, float *weights,         \
                                  T *contexts) {                                                  \
    nmt::attend<T>({sentences, queries_each, length, key, memory}, queries, keys, states, real,   \
                   temperature, weights, contexts);                                               \
  }                                                                                               \
  extern "C" void attend_backward_##suffix(                                                       \
      long sentences, long queries_each, long length, long key, long memory, const T *keys,       \
      const T *states, const float *weights, float temperature, const T *grad_contexts,           \
      const float *grad_weights, float *grad_scores, T *grad_queries) {                           \
    nmt::attend_backward<T>({sentences, queries_each, length, key, memory}, keys, states,         \
                            weights, temperature, grad_contexts, grad_weights, grad_scores,       \
                            grad_queries);                                                        \
  }

NMT_ATTENTION(float, float32)
NMT_ATTENTION(nmt::bfloat16, bfloat16)
