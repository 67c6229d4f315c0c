// Operations on a vector of numbers, in the vector types of GCC and Clang: the compiler maps them
// to the instructions of the machine. Arithmetic is in 32 bits, memory in 32 or 16.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace nmt {

// Compilers handle vectors wider than the machine's registers number by number.
#if defined(__AVX512F__)
constexpr long kWidth = 16;
#elif defined(__AVX__)
constexpr long kWidth = 8;
#else
constexpr long kWidth = 4;
#endif

typedef float Lanes __attribute__((vector_size(4 * kWidth)));
typedef int32_t Integers __attribute__((vector_size(4 * kWidth)));
typedef uint32_t Words __attribute__((vector_size(4 * kWidth)));
typedef uint16_t Halves __attribute__((vector_size(2 * kWidth)));

struct bfloat16 {
  uint16_t bits;  // the upper half of a float
};

inline Lanes all(float value) { return value - Lanes{}; }

inline Lanes load(const float *place) {
  Lanes lanes;
  memcpy(&lanes, place, sizeof lanes);
  return lanes;
}

inline Lanes load(const bfloat16 *place) {
  Halves halves;
  memcpy(&halves, place, sizeof halves);
  return (Lanes)(__builtin_convertvector(halves, Words) << 16);
}

inline void store(float *place, Lanes lanes) { memcpy(place, &lanes, sizeof lanes); }

inline void store(bfloat16 *place, Lanes lanes) {
  Words words = (Words)lanes;
  words += 0x7fff + ((words >> 16) & 1);  // to the nearest, ties to even
  Halves halves = __builtin_convertvector(words >> 16, Halves);
  memcpy(place, &halves, sizeof halves);
}

inline float load_one(const float *place) { return *place; }

inline float load_one(const bfloat16 *place) {
  uint32_t word = uint32_t(place->bits) << 16;
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

inline void store_one(float *place, float value) { *place = value; }

inline void store_one(bfloat16 *place, float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  word += 0x7fff + ((word >> 16) & 1);
  place->bits = uint16_t(word >> 16);
}

inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

inline float largest(Lanes lanes) {
  float value = lanes[0];
  for (long i = 1; i < kWidth; ++i) value = lanes[i] > value ? lanes[i] : value;
  return value;
}

inline bool any(Integers lanes) {
  int32_t found = 0;
  for (long i = 0; i < kWidth; ++i) found |= lanes[i];
  return found;
}

inline float sum(Lanes lanes) {
  float value = 0;
  for (long i = 0; i < kWidth; ++i) value += lanes[i];
  return value;
}

// NaN passes through: no comparison with it holds.
inline Lanes clamp(Lanes x, float least, float most) {
  x = x < least ? all(least) : x;
  return x > most ? all(most) : x;
}

// e^x = 2^n e^r with integer n and |r| <= ln(2) / 2. e^r - 1 is computed by its Taylor series; the
// first omitted term is below 1e-8.
struct Exponential {
  Lanes power;    // 2^n
  Lanes minus_1;  // e^r - 1
};

inline Exponential split(Lanes x) {
  constexpr float log2_of_e = 1.44269504f, shift = 12582912.0f;  // 1.5 * 2^23
  constexpr float ln2_upper = 0.693145752f, ln2_lower = 1.42860677e-6f;
  x = clamp(x, -87.0f, 88.0f);
  Lanes shifted = x * log2_of_e + shift;  // its lowest bits are n
  Lanes n = shifted - shift;
  Lanes r = (x - n * ln2_upper) - n * ln2_lower;
  Lanes series = r * (1.0f / 5040) + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  return {(Lanes)(((Integers)shifted << 23) + 0x3f800000), series * r * r + r};
}

inline Lanes exp(Lanes x) {
  Exponential e = split(x);
  return e.minus_1 * e.power + e.power;
}

inline Lanes sigmoid(Lanes x) { return 1.0f / (1.0f + exp(-x)); }

// Computed from e^2x - 1, which is accurate for small x too.
inline Lanes tanh(Lanes x) {
  Exponential e = split(2.0f * clamp(x, -20.0f, 20.0f));
  Lanes minus_1 = e.minus_1 * e.power + (e.power - 1.0f);
  return minus_1 / (minus_1 + 2.0f);
}

}  // namespace nmt
