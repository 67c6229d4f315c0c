"""What training minimises: the mean loss per target token of an update, plus penalties.

Losses are kept as sums and divided once, by the tokens of all micro-batches and ranks. How an
update is split therefore does not change its gradient.
"""
