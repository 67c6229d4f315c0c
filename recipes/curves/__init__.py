"""How the time of training and decoding grows with what is computed; see README.md."""
