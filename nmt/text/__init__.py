"""From bytes on a disk to pieces and back: lines, normalisation, subwords, filters."""
