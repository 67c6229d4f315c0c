"""Building blocks: torch and plain arguments only, never a configuration."""
