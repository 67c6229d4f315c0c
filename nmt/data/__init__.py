"""From text files to batches: prepared corpora on disk, the plan of an epoch, a loader."""
