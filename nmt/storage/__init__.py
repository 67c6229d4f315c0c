"""Files and folders that are either complete or absent, each folder with its checksums."""
