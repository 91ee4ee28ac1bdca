"""A model folder and documents in, what transformers makes of them out."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernbert.model.config import HeadKind


def is_installed() -> bool:
    """Return whether transformers is there."""
    return importlib.util.find_spec("transformers") is not None


def version() -> str:
    """Return the version of transformers."""
    import transformers

    return str(transformers.__version__)


@torch.no_grad()
def outputs(folder: Path, kind: HeadKind | None, given: list[list[int]]) -> list[Tensor]:
    """Return the scores of each document in float32, a row a token or a document.

    A folder without a head gives encoded tokens.
    """
    import transformers
    from transformers.utils import logging

    classes = {
        None: transformers.AutoModel,
        "masked_lm": transformers.AutoModelForMaskedLM,
        "sequence": transformers.AutoModelForSequenceClassification,
        "tokens": transformers.AutoModelForTokenClassification,
        "spans": transformers.AutoModelForQuestionAnswering,
        "choice": transformers.AutoModelForMultipleChoice,
    }
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = classes[kind].from_pretrained(folder, local_files_only=True).float().eval()
    read = _READ[kind]
    shape = (1, 1, -1) if kind == "choice" else (1, -1)
    grids = [torch.tensor(ids).view(shape) for ids in given]
    # Its multiple choice stops without a mask, whatever the mask says.
    return [read(model(ids, attention_mask=torch.ones_like(ids))) for ids in grids]


def _logits(output: Any) -> Tensor:
    scores: Tensor = output.logits.flatten(0, -2)
    return scores


_READ: dict[HeadKind | None, Callable[[Any], Tensor]] = {
    None: lambda output: output.last_hidden_state[0],
    "masked_lm": _logits,
    "sequence": _logits,
    "tokens": _logits,
    "spans": lambda output: torch.stack((output.start_logits[0], output.end_logits[0]), dim=-1),
    "choice": _logits,
}
