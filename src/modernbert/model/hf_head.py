"""The head as Hugging Face writes it: keys of config.json in, HeadConfig out, and back."""

from collections.abc import Mapping
from typing import Any

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.model.config import Activation, HeadConfig, HeadKind, Problem

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
"""Their name, ours."""

_ARCHITECTURES: dict[HeadKind, str] = {
    "masked_lm": "ModernBertForMaskedLM",
    "sequence": "ModernBertForSequenceClassification",
    "tokens": "ModernBertForTokenClassification",
    "spans": "ModernBertForQuestionAnswering",
    "choice": "ModernBertForMultipleChoice",
}
_BARE = "ModernBertModel"
_PROBLEMS: dict[Problem, str] = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


def head_to_hf(head: HeadConfig | None) -> dict[str, Any]:
    """Return the keys of config.json that say what the head is.

    `num_labels` is what text-embeddings-inference reads; transformers counts `id2label`.
    """
    if head is None:
        return {"architectures": [_BARE], **_pooling(HeadConfig())}
    keys = {"architectures": [_ARCHITECTURES[head.kind]], **_pooling(head)}
    if head.kind in ("sequence", "tokens"):
        keys |= {
            "num_labels": len(head.labels),
            "id2label": {str(number): label for number, label in enumerate(head.labels)},
            "label2id": {label: number for number, label in enumerate(head.labels)},
        }
    if head.kind == "sequence":
        # transformers 5 does not open a file that has one label to choose from.
        is_score = len(head.labels) == 1 and head.problem == "single_label"
        keys["problem_type"] = _PROBLEMS["regression" if is_score else head.problem]
    return keys


def head_from_hf(keys: Mapping[str, Any], found: Mapping[str, Any]) -> HeadConfig | None:
    """Say which head a file holds, by its architecture and by its tensors.

    A file that names an architecture and lacks its tensors is a bare encoder, as transformers
    itself sees it. `found` maps names without `model.` to tensors.

    Raises:
        CheckpointError: the keys contradict each other or the tensors.
    """
    named = (keys.get("architectures") or [_ARCHITECTURES["masked_lm"]])[0]
    kinds = {name: kind for kind, name in _ARCHITECTURES.items()}
    if named not in kinds or "head.dense.weight" not in found:
        return None
    kind = kinds[named]
    if kind != "masked_lm" and "classifier.weight" not in found:
        return None
    try:
        return HeadConfig(
            kind=kind,
            labels=_labels(keys, found) if kind in ("sequence", "tokens") else (),
            pooling=keys.get("classifier_pooling") or "cls",
            problem=_problem(keys, found) if kind == "sequence" else "single_label",
            dropout=keys.get("classifier_dropout") or 0.0,
            activation=_activation(keys),
        )
    except ConfigError as error:
        raise CheckpointError(f"config.json cannot be used: {error}") from error


def spelled(activation: Activation) -> str:
    """Return their name of an activation."""
    return next(theirs for theirs, ours in ACTIVATIONS.items() if ours == activation)


def _activation(keys: Mapping[str, Any]) -> Activation | None:
    """Return the head's activation where it is not the encoder's."""
    name, hidden = keys.get("classifier_activation", "gelu"), keys.get("hidden_activation", "gelu")
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json has classifier_activation {name!r}: known are {', '.join(ACTIVATIONS)}"
        )
    return None if ACTIVATIONS[name] == ACTIVATIONS[hidden] else ACTIVATIONS[name]


def _pooling(head: HeadConfig) -> dict[str, Any]:
    return {"classifier_pooling": head.pooling, "classifier_dropout": head.dropout}


def _labels(keys: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    rows = len(found["classifier.weight"])
    named = {int(number): str(label) for number, label in (keys.get("id2label") or {}).items()}
    if not named:
        return tuple(f"LABEL_{row}" for row in range(rows))
    if sorted(named) != list(range(rows)):
        raise CheckpointError(
            f"config.json names {len(named)} labels, the classifier has {rows} rows: "
            "the two files do not belong together"
        )
    return tuple(named[row] for row in range(rows))


def _problem(keys: Mapping[str, Any], found: Mapping[str, Any]) -> Problem:
    told = keys.get("problem_type")
    if told is None:
        is_score = "classifier.weight" in found and len(found["classifier.weight"]) == 1
        return "regression" if is_score else "single_label"
    kinds = {name: problem for problem, name in _PROBLEMS.items()}
    if told not in kinds:
        raise CheckpointError(
            f"config.json has problem_type {told!r}: known are {', '.join(kinds)}"
        )
    return kinds[told]
