"""Analysis of models: tensors in, numbers or pictures out."""
