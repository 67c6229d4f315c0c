"""From bytes on a disk to pieces and back: lines, normal forms, subwords, filters."""
