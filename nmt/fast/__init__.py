"""Fast replacements of plain modules; `accelerate` is the only entry point."""
