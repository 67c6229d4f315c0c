"""The folder of a run: names and lock, starts, metrics and log, translations, averages."""
