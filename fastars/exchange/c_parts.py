"""The parts of a C header that are the same in all of them; `c_header` puts them together."""

INCLUDES = """\
#ifndef FASTARS_POLICY_H
#define FASTARS_POLICY_H
#include <math.h>
#include <stdint.h>
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif
#ifdef POLICY_FLOAT32
typedef float policy_real;
#else
typedef double policy_real;
#endif"""

LAYER = """\
/* y = b + W x, added from the first input to the last */
static void policy_layer(const policy_real *w, const policy_real *b, int n_in, int n_out, const policy_real *x, policy_real *y) {
  for (int i = 0; i < n_out; i++) {
    policy_real sum = b[i];
    for (int j = 0; j < n_in; j++) sum += w[i * n_in + j] * x[j];
    y[i] = sum;
  }
}"""

# As in `_compiled/trig.py`, with the same constants: the test in the header, and tests/test_c_header.py, compare the bits.
EXPM1 = """\
#ifndef POLICY_FLOAT32
/* exp(y) - 1 for 0 <= y <= 708 */
static double policy_expm1(double y) {
  double k = (y * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0; /* rounded to a whole number */
  double power = ldexp(1.0, (int)k), r = (y - k * 0.6931471803691238) - k * 1.9082149292705877e-10;
  double p = 2.7557268276905696e-06 + r * (2.7557282838800484e-07 + r * (2.5100472505694996e-08 + r * 2.09112987659402e-09));
  p = 0.0013888888888886537 + r * (0.00019841269863171557 + r * (2.4801587317228724e-05 + r * p));
  p = 0.16666666666666669 + r * (0.041666666666666664 + r * (0.008333333333330039 + r * p));
  p = r + r * r * (0.5 + r * p);
  return power * p + (power - 1.0);
}
#endif"""

TANH = """\
static policy_real policy_tanh(policy_real x) {
#ifdef POLICY_FLOAT32
  return tanhf(x);
#else
  if (x != x) return x;
  double e = policy_expm1(2.0 * (fabs(x) > 20.0 ? 20.0 : fabs(x)));
  return copysign(e / (e + 2.0), x);
#endif
}"""

SWISH = """\
static policy_real policy_swish(policy_real x) {
#ifdef POLICY_FLOAT32
  return x / (1 + expf(-x));
#else
  if (x != x) return x;
  x = x < -708.0 ? -708.0 : x;
  double e = policy_expm1(fabs(x) > 708.0 ? 708.0 : fabs(x)) + 1.0;
  return x * ((x > 0.0 ? e : 1.0) / (e + 1.0));
#endif
}"""

FIRST_LARGEST = """\
static int policy_first_largest(const policy_real *scores, int n) {
  int best = 0;
  for (int k = 1; k < n; k++) best = scores[k] > scores[best] ? k : best;
  return best;
}"""

TAIL = ["#endif"]

MAIN = """\
int main(void) {
  double largest = 0.0;
  for (int k = 0; k < 10; k++) {
    policy_real observation[POLICY_N_OBS];
    policy_action action[POLICY_N_ACT];
    for (int j = 0; j < POLICY_N_OBS; j++) observation[j] = (policy_real)test_observations[k * POLICY_N_OBS + j];
    policy_act(observation, action);
    for (int i = 0; i < POLICY_N_ACT; i++) {
      double difference = fabs((double)action[i] - test_actions[k * POLICY_N_ACT + i]);
      if (!(largest >= difference || largest != largest)) largest = difference; /* also if it is not a number */
    }
  }
  printf("10 observations, %d bits: the largest difference of an action is %g\\n", (int)(8 * sizeof(policy_real)), largest);
  return sizeof(policy_real) == 8 && largest != 0.0;
}
#endif"""
