"""Measure how training and decoding time grow with the size of the problem; see README.md."""
