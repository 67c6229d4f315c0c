"""What replaces plain modules where speed is wanted; `accelerate` is the only door to it."""
