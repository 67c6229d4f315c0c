"""Compare nmt with other toolkits on the same work; see README.md."""
