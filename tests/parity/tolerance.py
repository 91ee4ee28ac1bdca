"""How close is close enough: measured, not chosen."""

from torch import Tensor


def distance(x: Tensor, truth: Tensor) -> float:
    return (x.detach().double() - truth.detach()).norm().item()


def assert_as_accurate(ours: Tensor, naive: Tensor, truth: Tensor, slack: float = 2.0) -> None:
    """Fail if `ours` is further from the float64 `truth` than `slack` times what `naive` is.

    `naive` is the plain computation in the dtype of `ours`: its error is what the dtype costs.
    """
    assert ours.shape == truth.shape
    error, allowed = distance(ours, truth), slack * distance(naive, truth)
    # A naive result can be exact by luck; float64's own rounding is then the floor.
    floor = 1e-14 * truth.detach().norm().item()
    assert error <= allowed + floor, f"error {error:.3e}, allowed {allowed:.3e}"
