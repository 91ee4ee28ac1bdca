"""Settings of one module of sentence-transformers in, the step that it computes out, and back."""

from collections.abc import Callable
from typing import Any

from modernbert.base.errors import CheckpointError
from modernbert.model.sentence import ACTIVATIONS
from modernbert.model.sentence_config import (
    DenseShape,
    Normalize,
    Pool,
    PoolingMode,
    Splade,
    Step,
)
from modernbert.model.settings import Settings

TOKENS, SENTENCE = "token_embeddings", "sentence_embedding"

# Old keys, in the order in which sentence-transformers lays several modes side by side.
_POOLING: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
}
_UNKNOWN_POOLING = "pooling_mode_weightedmean_tokens"


def read_step(name: str, keys: Settings, given: str) -> Step | None:
    """Read what a module does; None is nothing.

    `given` is what the modules before it leave to work on: `TOKENS` or `SENTENCE`.

    Raises:
        CheckpointError: it asks for what cannot be computed.
    """
    return _READERS[name](keys, given)


def _pool(keys: Settings, given: str) -> Step:
    old = [key for key, value in keys.content.items() if key.startswith("pooling_mode_") and value]
    in_order = sorted(old, key=lambda key: [*_POOLING, key].index(key))
    by_old = tuple(_POOLING.get(key, key) for key in in_order)
    told = keys.words("pooling_mode") or by_old or ("mean",)
    modes = tuple(mode for name in told for mode in _POOLING.values() if mode == name)
    if len(modes) < len(told) or given != TOKENS:
        raise CheckpointError(
            f"{keys.path} pools {given} by {', '.join(told)}: known are "
            f"{', '.join(_POOLING.values())}, of {TOKENS}"
        )
    return Pool(modes, keys.get("include_prompt", bool) is not False)


def _dense(keys: Settings, given: str) -> Step:
    ends = [keys.get(f"module_{end}_name", str) for end in ("input", "output")]
    if {end or ends[0] or given for end in ends} != {given}:
        raise keys.fault("module_input_name", f"not turned into itself, though it is {given}")
    name = keys.get("activation_function", str) or "torch.nn.modules.activation.Tanh"
    if name not in ACTIVATIONS:
        raise keys.fault("activation_function", f"not one of {', '.join(ACTIVATIONS)}")
    return DenseShape(
        in_dim=keys.get("in_features", int) or 0,
        out_dim=keys.get("out_features", int) or 0,
        has_bias=keys.get("bias", bool) is not False,
        activation=name,
        has_residual=bool(keys.get("use_residual", bool)),
    )


def _normalize(keys: Settings, given: str) -> Step | None:
    # As theirs does: what is not there is not normalized, and nobody reads tokens after pooling.
    return Normalize() if (keys.get("module_input_name", str) or SENTENCE) == given else None


def _splade(keys: Settings, given: str) -> Step:
    strategy = keys.get("pooling_strategy", str) or "max"
    activation = keys.get("activation_function", str) or "relu"
    known = strategy in ("max", "sum") and activation in ("relu", "log1p_relu")
    if not known or given != TOKENS:
        raise CheckpointError(
            f"{keys.path} pools {given} by {strategy!r} after {activation!r}: known are max and "
            f"sum, after relu and log1p_relu, of {TOKENS}"
        )
    return Splade("max" if strategy == "max" else "sum", activation == "log1p_relu")


_READERS: dict[str, Callable[[Settings, str], Step | None]] = {
    "Pooling": _pool,
    "Dense": _dense,
    "Normalize": _normalize,
    "SpladePooling": _splade,
}
READABLE = tuple(_READERS)
"""Classes of modules that can be computed."""


def written_step(step: Step, dim: int, given: str | None) -> tuple[str, dict[str, Any]]:
    """Return a module's class and settings; `dim` is the width of the vectors it is given.

    `given` names what it works on, None where every reader knows. sentence-transformers before
    5.4 refuses keys that it does not know: what it can read is written without newer ones.
    """
    names = {"module_input_name": given} if given else {}
    match step:
        case Pool():
            return "Pooling", _pool_keys(step, dim)
        case DenseShape():
            return "Dense", _dense_keys(step) | names
        case Splade():
            activation = "log1p_relu" if step.is_log_twice else "relu"
            keys = {"pooling_strategy": step.strategy, "activation_function": activation}
            return "SpladePooling", keys | {"word_embedding_dimension": dim}
        case Normalize():
            return "Normalize", names


def width_after(step: Step, dim: int) -> int:
    """Return the width of vectors after a step that is given vectors of width `dim`."""
    if isinstance(step, Pool):
        return len(step.modes) * dim
    return step.out_dim if isinstance(step, DenseShape) else dim


def _pool_keys(step: Pool, dim: int) -> dict[str, Any]:
    in_order = [mode for mode in _POOLING.values() if mode in step.modes]
    old = {key: mode in step.modes for key, mode in _POOLING.items()} | {_UNKNOWN_POOLING: False}
    new: dict[str, Any] = {}
    if len(step.modes) == 1:
        new = {"pooling_mode": step.modes[0]}
    elif in_order != list(step.modes):
        new = {"pooling_mode": list(step.modes)}  # beyond what the old keys can say
    return {
        "word_embedding_dimension": dim,
        **old,
        **new,
        "include_prompt": step.includes_prompt,
    }


def _dense_keys(step: DenseShape) -> dict[str, Any]:
    return {
        "in_features": step.in_dim,
        "out_features": step.out_dim,
        "bias": step.has_bias,
        "activation_function": step.activation,
        **({"use_residual": True} if step.has_residual else {}),
    }
