"""Train, study and ship recurrent sequence-to-sequence translation models."""

__version__ = "0.1.0"
