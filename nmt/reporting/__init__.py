"""Reports on a run folder, for people."""
