import torch
from torch import Tensor, nn

from modernbert.kernels import tiles
from modernbert.kernels.tiles import by_tiles
from modernbert.model.mlp import MLP
from modernbert.model.presets import PRESETS


class _Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.lengths.append(len(x))
        return x[:, :2].double() * 3


def _tall(num_tokens: int) -> Tensor:
    return torch.randn(num_tokens, 5, generator=torch.Generator().manual_seed(0))


def test_tiles_together_are_the_whole() -> None:
    step, x = _Counted(), _tall(2 * tiles._TILE + 7)
    with torch.no_grad():
        found = by_tiles(step, x)
    assert step.lengths == [tiles._TILE, tiles._TILE, 7]
    torch.testing.assert_close(found, x[:, :2].double() * 3, rtol=0, atol=0)


def test_a_gradient_takes_the_whole() -> None:
    step, x = _Counted(), _tall(tiles._TILE + 1).requires_grad_()
    by_tiles(step, x).sum().backward()
    assert step.lengths == [tiles._TILE + 1]
    assert x.grad is not None
    assert (x.grad[:, :2] == 3).all()


def test_what_fits_into_a_tile_is_one() -> None:
    step = _Counted()
    with torch.no_grad():
        assert len(by_tiles(step, _tall(tiles._TILE))) == tiles._TILE
        assert by_tiles(step, _tall(0)).shape == (0, 2)
    assert step.lengths == [tiles._TILE, 0]


def test_the_mlp_says_the_same_in_tiles() -> None:
    mlp = MLP(PRESETS["tiny"]).double()
    x = torch.randn(tiles._TILE + 9, PRESETS["tiny"].dim, dtype=torch.float64)
    with torch.no_grad():
        in_tiles = mlp(x)
    torch.testing.assert_close(in_tiles, mlp(x), rtol=1e-12, atol=1e-12)
