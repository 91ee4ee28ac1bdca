"""What follows the encoder in an embedding model: its tokens in, vectors of texts or tokens out."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.batch import Layout, split
from modernbert.model.pooling import pool
from modernbert.model.projection import Projection
from modernbert.model.sentence_config import DenseShape, Normalize, Pool, SentenceConfig, Splade

# By the names that files carry: a name is looked up here and never imported.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "torch.nn.modules.linear.Identity": lambda x: x,
    "torch.nn.modules.activation.GELU": F.gelu,
    "torch.nn.modules.activation.ReLU": torch.relu,
    "torch.nn.modules.activation.Sigmoid": torch.sigmoid,
    "torch.nn.modules.activation.SiLU": F.silu,
    "torch.nn.modules.activation.Tanh": torch.tanh,
}


class Dense(nn.Module):
    """A projection and an activation; parameters carry sentence-transformers' names."""

    def __init__(self, shape: DenseShape) -> None:
        super().__init__()
        self.shape = shape
        self.linear = Projection(shape.in_dim, shape.out_dim, bias=shape.has_bias)
        is_projected = shape.has_residual and shape.in_dim != shape.out_dim
        self.residual = (
            Projection(shape.in_dim, shape.out_dim, bias=False) if is_projected else nn.Identity()
        )

    def forward(self, x: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
        """Project vectors, in the dtype of the weights."""
        x = x.to(self.linear.weight.dtype)
        out: Tensor = ACTIVATIONS[self.shape.activation](self.linear(x))
        return out + self.residual(x) if self.shape.has_residual else out


class Sentence(nn.Module):
    """The steps after the encoder."""

    def __init__(self, config: SentenceConfig) -> None:
        super().__init__()
        self.config = config
        self.dense = nn.ModuleList(
            Dense(step) for step in config.steps if isinstance(step, DenseShape)
        )

    @property
    def projections(self) -> list[Dense]:
        """The learned steps, in order."""
        return [each for each in self.dense if isinstance(each, Dense)]

    def forward(
        self, x: Float[Tensor, "T D"], layout: Layout, num_prompt: int = 0
    ) -> Float[Tensor, "rows N"]:
        """Return a vector for each document, or for each token where nothing pools.

        `x` are encoded tokens; logits where the model is sparse. `num_prompt` first tokens of
        each document are not pooled where the folder leaves the prompt out.
        """
        projections = iter(self.projections)
        for step in self.config.steps:
            match step:
                case Pool():
                    x = _pooled(x, layout, step, num_prompt)
                case Splade():
                    x = _sparse(x, layout, step)
                case Normalize():
                    # In bfloat16 lengths would be off by up to 0.3%, and a product be no cosine.
                    x = F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1)
                case DenseShape():
                    x = next(projections)(x)
        return x

    def shortened(self, vectors: Float[Tensor, "rows N"]) -> Float[Tensor, "rows K"]:
        """Leave out what the folder does not want given out of texts' vectors."""
        number = self.config.num_kept
        if number is None or number >= vectors.shape[1]:
            return vectors
        if not self.config.is_sparse:
            return vectors[:, :number]
        largest = vectors.topk(number).indices  # weights of words are never negative
        return torch.zeros_like(vectors).scatter(1, largest, vectors.gather(1, largest))


def _pooled(x: Tensor, layout: Layout, step: Pool, num_prompt: int) -> Tensor:
    if num_prompt and not step.includes_prompt:
        x, layout = _without_first(x, layout, num_prompt)
    return torch.cat([pool(x, layout, mode) for mode in step.modes], dim=-1)


def _without_first(x: Tensor, layout: Layout, count: int) -> tuple[Tensor, Layout]:
    """Leave out the first tokens of each document, but never all of them."""
    parts = [part[min(count, len(part) - 1) :] for part in split(x, layout)]
    return torch.cat(parts), Layout.of([len(part) for part in parts]).to(x.device)


def _sparse(logits: Tensor, layout: Layout, step: Splade) -> Tensor:
    """Weigh each word of the vocabulary by how much any token calls for it."""
    rows = []
    for document in split(logits, layout):
        weights = document.relu().log1p()
        weights = weights.log1p() if step.is_log_twice else weights
        rows.append(weights.amax(0) if step.strategy == "max" else weights.sum(0))
    return torch.stack(rows)
