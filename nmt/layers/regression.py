"""Numbers as the output of a network, in place of a distribution."""

from torch import Tensor

from nmt.layers.output import OutputLayer


class NumbersOutput(OutputLayer):
    """Predicts y = W f + b, trained by the squared error: no probabilities, no pieces.

    The last value of the features says whether the target is at its end, and is not read.

    Args:
        project: the linear map f -> W f + b.
    """

    loss_name = "squared error"

    def scores(self, features: Tensor) -> Tensor:
        """Return the numbers y [rows, values] of `features` [rows, size + 1]."""
        numbers: Tensor = self.project(features[..., :-1])
        return numbers

    def losses(
        self, features: Tensor, target: Tensor, *, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return the squared error of each line twice: with the gradient, and detached.

        Args:
            features: [lines, size + 1].
            target: reference numbers, [lines, values].
            smoothing: must be 0.

        Returns:
            mean_j (y_j - target_j)^2, [lines] each, in the type of the weights.
        """
        numbers = self.scores(features).to(self.project.bias)
        loss = (numbers - target).square().mean(dim=-1)
        return loss, loss.detach()

    def distribution(self, features: Tensor) -> Tensor:
        """Refuse to normalise numbers.

        Raises:
            TypeError: always.
        """
        raise TypeError("numbers have no probabilities")

    def log_mass(self, scores: Tensor) -> Tensor:
        """Refuse to normalise numbers.

        Raises:
            TypeError: always; a search cannot choose among numbers.
        """
        raise TypeError("numbers have no probabilities")
