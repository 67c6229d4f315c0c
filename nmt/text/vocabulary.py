"""The special pieces: their ids and names are defined here and nowhere else."""

PAD, UNK, BOS, EOS = 0, 1, 2, 3
"""Ids of padding, unknown text, the beginning and the end of a sentence, in every vocabulary."""

PAD_PIECE, UNK_PIECE, BOS_PIECE, EOS_PIECE = "<pad>", "<unk>", "<s>", "</s>"
"""Their names."""
SPECIAL_PIECES = (PAD_PIECE, UNK_PIECE, BOS_PIECE, EOS_PIECE)
"""Names of the special pieces, by id."""
