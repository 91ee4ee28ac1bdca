"""FLOPs a token and a device in, seconds a token out; how sure one can be is said beside it.

A token's time is its FLOPs at a share of the device's peak, and a constant beside them: what is not
a product costs about as much for a narrow model as for a wide one. Both numbers come from the hours
that ModernBERT's authors published; with the constant, they also tell the hours of encoders that
they were not taken from (plan_published.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.base.errors import ConfigError
from modernbert.model.config import EncoderConfig
from modernbert.model.count import recomputed_flops, training_flops


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """How much of a device's peak training reaches."""

    share: float
    """Of the peak, while products are made."""
    seconds_a_token: float = 0.0
    """Beside the products, on one device."""
    source: str
    """Where the two numbers come from."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A token of a published run: what it costs, and what it took one device."""

    flops: float
    seconds: float


def token_flops(
    config: EncoderConfig, length: int, mask_rate: float, *, recomputes: bool = False
) -> float:
    """Return the FLOPs that a token of a document of this length costs a device."""
    again = recomputed_flops(config, length) if recomputes else 0.0
    return training_flops(config, length, mask_rate) + again


def token_seconds(flops: float, peak: float, efficiency: Efficiency) -> float:
    """Return the time of a token on one device."""
    return flops / (peak * efficiency.share) + efficiency.seconds_a_token


def stated(mfu: float) -> Efficiency:
    """Return what somebody says: one share of the peak for all shapes.

    Raises:
        ConfigError: it is no share.
    """
    if not 0 < mfu <= 1:
        raise ConfigError(
            f"mfu is {mfu}: give a share of the peak above 0 and up to 1, such as 0.4"
        )
    return Efficiency(share=mfu, source=f"stated: {mfu:.0%} of the peak")


def fit(tokens: Sequence[Timed], peak: float) -> tuple[float, float]:
    """Return the share of the peak and the seconds beside it that come nearest to what was taken.

    Nearest is the least sum of squared relative errors.
    """
    slopes = [each.flops / each.seconds for each in tokens]
    offsets = [1 / each.seconds for each in tokens]
    aa, ab, bb = _dot(slopes, slopes), _dot(slopes, offsets), _dot(offsets, offsets)
    a, b = sum(slopes), sum(offsets)
    determinant = aa * bb - ab * ab
    per_flop, beside = (a * bb - b * ab) / determinant, (b * aa - a * ab) / determinant
    return 1 / (per_flop * peak), beside


def fit_share(tokens: Sequence[Timed], peak: float) -> float:
    """Return the one share of the peak that comes nearest, nothing beside it."""
    slopes = [each.flops / each.seconds for each in tokens]
    return _dot(slopes, slopes) / sum(slopes) / peak


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
