"""What goes on inside a model: tensors in, numbers or a picture out."""
