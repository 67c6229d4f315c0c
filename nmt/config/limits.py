"""Upper bounds of options, far above any use: larger values are typos, or would overflow.

This module imports nothing, since every command imports it.
"""

MOST_PIECES = 10_000_000
MOST_UNITS = 1_000_000
MOST_LAYERS = 1000
MOST_PARTS = 100_000
MOST_WEIGHT = 1e6
MOST_SECONDS = 10_000_000

MOST_HYPOTHESES = 100_000
MOST_ALPHA = 10.0
MOST_COVERAGE_PENALTY = 1000.0
MOST_LENGTH_FACTOR = 1000.0
MOST_LENGTH_OFFSET = 100_000
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-6, 1e6
MOST_LM_WEIGHT = 100.0
