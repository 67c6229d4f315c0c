"""Encoders, decoders, and the models they make; `build.py` is where configuration meets layers."""
