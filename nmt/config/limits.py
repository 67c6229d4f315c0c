"""The largest values that a search takes; it imports nothing, for the command line needs them.

They lie far above all use. Beyond them a value is a slip, and lengths and penalties would leave
what numbers of 64 bits can hold.
"""

MOST_HYPOTHESES = 100_000
MOST_ALPHA = 10.0
MOST_COVERAGE_PENALTY = 1000.0
MOST_LENGTH_FACTOR = 1000.0
MOST_LENGTH_OFFSET = 100_000
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-6, 1e6
