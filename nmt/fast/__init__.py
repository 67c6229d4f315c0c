"""Kernels in C++, compiled once on the machine that runs them; without a compiler, none."""
