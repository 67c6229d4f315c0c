"""From a scorer to translations in pieces: greedy, beam, sampling, and forced scoring."""
