"""Compare nmt with its peers on the same work; see README.md."""
