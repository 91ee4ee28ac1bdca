"""The head as Hugging Face writes it: keys of config.json in, HeadConfig out, and back."""

import reprlib
from collections.abc import Mapping
from typing import Any

from modernbert.base.errors import CheckpointError
from modernbert.model.config import Activation, HeadConfig, HeadKind, Pooling, Problem
from modernbert.model.hf_keys import typed

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
    named = (typed(keys, "architectures", list) or [_ARCHITECTURES["masked_lm"]])[0]
    kind = next((kind for kind, name in _ARCHITECTURES.items() if name == named), None)
    if kind is None and named != _BARE and {"decoder.bias", "decoder.weight"} & found.keys():
        kind = "masked_lm"  # whatever its class was called
    if kind is None or "head.dense.weight" not in found:
        return None
    if kind != "masked_lm" and not _rows(found):
        return None
    return HeadConfig(
        kind=kind,
        labels=_labels(keys, found) if kind in ("sequence", "tokens") else (),
        pooling=_pooling_of(keys),
        problem=_problem(keys, found) if kind == "sequence" else "single_label",
        dropout=_dropout(keys),
        activation=_activation(keys),
    )


def spelled(activation: Activation) -> str:
    """Return their name of an activation."""
    return next(theirs for theirs, ours in ACTIVATIONS.items() if ours == activation)


def _activation(keys: Mapping[str, Any]) -> Activation | None:
    """Return the head's activation where it is not the encoder's."""
    name = typed(keys, "classifier_activation", str) or "gelu"
    hidden = typed(keys, "hidden_activation", str) or "gelu"
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json has classifier_activation {reprlib.repr(name)}: known are "
            f"{', '.join(ACTIVATIONS)}"
        )
    return None if ACTIVATIONS[name] == ACTIVATIONS[hidden] else ACTIVATIONS[name]


def _pooling(head: HeadConfig) -> dict[str, Any]:
    return {"classifier_pooling": head.pooling, "classifier_dropout": head.dropout}


def _pooling_of(keys: Mapping[str, Any]) -> Pooling:
    told = typed(keys, "classifier_pooling", str) or "cls"
    if told == "cls":
        return "cls"
    if told == "mean":
        return "mean"
    raise CheckpointError(
        f"config.json has classifier_pooling {reprlib.repr(told)}: known are cls, mean"
    )


def _dropout(keys: Mapping[str, Any]) -> float:
    told = typed(keys, "classifier_dropout", float) or 0.0
    if not 0 <= told < 1:
        raise CheckpointError(
            f"config.json has classifier_dropout {told}: it must lie from 0 to below 1"
        )
    return told


def _rows(found: Mapping[str, Any]) -> int:
    """Return how many scores the classifier gives, 0 when there is none."""
    weight = found.get("classifier.weight")
    return 0 if weight is None or not weight.ndim else len(weight)


def _labels(keys: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    rows, named = _rows(found), typed(keys, "id2label", dict) or {}
    if not named:
        return tuple(f"LABEL_{row}" for row in range(rows))
    if set(named) != {str(row) for row in range(rows)}:
        raise CheckpointError(
            f"config.json names {len(named)} labels, the classifier has {rows} rows: "
            "the two files do not belong together"
        )
    return tuple(str(named[str(row)]) for row in range(rows))


def _problem(keys: Mapping[str, Any], found: Mapping[str, Any]) -> Problem:
    told = typed(keys, "problem_type", str)
    if told is None:
        return "regression" if _rows(found) == 1 else "single_label"
    kinds = {name: problem for problem, name in _PROBLEMS.items()}
    if told not in kinds:
        raise CheckpointError(
            f"config.json has problem_type {reprlib.repr(told)}: known are {', '.join(kinds)}"
        )
    return kinds[told]
