"""Curvature of a loss L(y(theta)): products with matrices that are never formed, and the matrices.

    H = d^2 L / dtheta^2                      the Hessian
    G = J^T H_L J,  J = dy / dtheta           the Gauss-Newton matrix (Schraudolph, 2002)
    F = E_{x} E_{c ~ p(c|x)} [g g^T]          the Fisher matrix: g = dlog p(c|x) / dtheta
    E = E_{(x, c) ~ data} [g g^T]             the "empirical Fisher": an outer product of gradients

For a softmax with cross-entropy G = F, as both take the expectation over what the model predicts. E
takes the labels of the data instead and is neither; it vanishes where the model is right.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jacrev, vjp

Function = Callable[[Tensor], Tensor]
"""From a tensor to a tensor: parameters [parameters] to outputs, or outputs to a loss."""


def pushforward(pull_back: Callable[..., Any], *outputs: Tensor) -> Callable[[Tensor], Any]:
    """Return v -> J v of a function, from what `vjp` gave for it.

    u -> J^T u is linear, so its own derivative, transposed, is J: nothing but reverse
    differentiation is needed, and the graph is made once for all v.

    Args:
        pull_back: from a gradient of the outputs to one of the parameters.
        outputs: the outputs of the function, whose shapes are used.
    """
    zeros = tuple(torch.zeros_like(y) for y in outputs)
    at = zeros[0] if len(zeros) == 1 else zeros
    push = vjp(lambda u: pull_back(u)[0], at)[1]
    return lambda vector: push(vector)[0]


def hessian_product(function: Function, point: Tensor, vector: Tensor) -> Tensor:
    """Return H v of a scalar function, the gradient of v^T gradient (Pearlmutter, 1994).

    Args:
        function: from a tensor to a scalar.
        point: where the Hessian is taken, of any shape.
        vector: v, in the shape of `point`.
    """
    pull_back = vjp(grad(function), point)[1]
    product: Tensor = pull_back(vector)[0]  # H is symmetric
    return product


def gauss_newton_product(
    outputs: Function, loss: Function, point: Tensor, vector: Tensor
) -> Tensor:
    """Return G v = J^T H_L J v: forward through the network, the loss, and back.

    Args:
        outputs: from parameters [parameters] to the outputs y, of any shape.
        loss: from outputs to a scalar, convex.
        point: the parameters theta.
        vector: v, [parameters].
    """
    y, pull_back = vjp(outputs, point)[:2]
    moved = pushforward(pull_back, y)(vector)  # J v
    product: Tensor = pull_back(hessian_product(loss, y, moved))[0]
    return product


def gauss_newton_matrix(outputs: Function, loss: Function, point: Tensor) -> Tensor:
    """Return G, [parameters, parameters]; arguments as for `gauss_newton_product`."""
    y = outputs(point)
    jacobian = jacrev(outputs)(point).reshape(y.numel(), -1)
    curvature = jacrev(jacrev(loss))(y).reshape(y.numel(), y.numel())
    matrix: Tensor = jacobian.T @ curvature @ jacobian
    return matrix


def _log_likelihood_gradients(logits: Function, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return p(c|x) [rows, classes] and its logarithm's gradients [rows, classes, parameters]."""
    gradients = jacrev(lambda theta: logits(theta).log_softmax(dim=-1))(point)
    return logits(point).softmax(dim=-1), gradients


def fisher_matrix(logits: Function, point: Tensor) -> Tensor:
    """Return the mean of g g^T over rows and over labels drawn from the model itself.

    Args:
        logits: from parameters [parameters] to logits [rows, classes].
        point: the parameters.
    """
    probabilities, gradients = _log_likelihood_gradients(logits, point)
    total = torch.einsum("rc,rcp,rcq->pq", probabilities, gradients, gradients)
    return total / probabilities.shape[0]


def empirical_fisher_matrix(logits: Function, labels: Tensor, point: Tensor) -> Tensor:
    """Return the mean of g g^T over rows, with the `labels` [rows] of the data."""
    _, gradients = _log_likelihood_gradients(logits, point)
    chosen = gradients[torch.arange(len(labels)), labels]  # [rows, parameters]
    return chosen.T @ chosen / len(labels)
