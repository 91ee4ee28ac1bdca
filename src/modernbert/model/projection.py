"""A matrix of weights as a layer: x in, its product out."""

from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.kernels.linear import linear


class Projection(nn.Linear):
    """torch's layer by another name, multiplied by the library that is fast on this processor."""

    def forward(self, input: Float[Tensor, "... K"]) -> Float[Tensor, "... N"]:  # noqa: A002
        """Multiply."""
        return linear(input, self.weight, self.bias)
