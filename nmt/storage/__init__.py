"""Files and folders that are either whole or absent; every write of a run goes through here.

A file is written under a temporary name beside its final one, forced to the disk, and renamed;
after a crash or power cut there is the old file or the new one, never half of one. Folders are
built the same way. Weights are safetensors, which runs no code on loading but notices neither
flipped bits nor a swapped file: `SHA256SUMS` in each folder does.
"""
