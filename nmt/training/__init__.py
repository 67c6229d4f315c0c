"""Training: everything around the loop that finds weights, and the loop itself."""
