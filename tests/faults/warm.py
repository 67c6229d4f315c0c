"""All that training and translating import; a process forked after this starts at once."""

import codecs

import pytest  # noqa: F401  a forked process imports the main module anew, which is pytest
import sacrebleu  # noqa: F401
import torch
import torch._dynamo  # imported by the first optimizer, in more than a second

import nmt.cli.main
import nmt.data.prepare
import nmt.training.run
import nmt.translator  # noqa: F401
from nmt.fast.kernels import kernels

torch.set_num_threads(1)
kernels()
codecs.lookup("utf-8-sig")  # another user may not be allowed to read what is not loaded yet
