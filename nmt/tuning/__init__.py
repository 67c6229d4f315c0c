"""Search for settings by many short runs: `nmt tune`."""
