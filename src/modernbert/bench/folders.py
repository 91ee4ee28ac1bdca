"""Names of models in, folders with random weights that every runtime opens out."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from modernbert.base.files import write_json
from modernbert.bench.runtimes.graphs import write_graph
from modernbert.bench.shapes import OWN, SHAPES
from modernbert.bench.worker import apart
from modernbert.model import folder as model_folder
from modernbert.model.init import build
from modernbert.model.model import Model
from modernbert.model.presets import PRESETS
from modernbert.model.stored import WEIGHTS, headers

_WORDS = 4
_GAIN = 1.6
"""Of a matrix with unit vectors in."""


def make(model: str, folder: Path, *, graph: bool) -> int | None:
    """Write a model, its graph too where some runtime reads it, and count its weights.

    None where it could not be made, as by a version of transformers that lacks the family.
    """
    if SHAPES[model].kind == OWN:
        model_folder.write(stirred(build(PRESETS[model], 0, None)), folder)
    else:
        folder.mkdir()
        apart(partial(_write, model), folder)
    if not (folder / WEIGHTS).is_file():
        return None
    _write_tokenizer(folder)
    if graph and all(map(find_spec, ("transformers", "onnxscript"))):
        apart(write_graph, folder)
    return sum(weight.numel() for weight in headers(folder).values())


def stirred(model: Model) -> Model:
    """Make random layers matter as those of a trained model do, and return the model.

    As they are drawn they hardly move what they are added to: a wrong window differs by less than
    numbers in bfloat16 do. Speed does not depend on it.
    """
    depth = (2 * model.config.num_layers) ** -0.5
    with torch.no_grad():
        for name, weight in model.encoder.layers.named_parameters():
            if weight.dim() > 1:
                gain = _GAIN * (depth if name.endswith("Wo.weight") else 1.0)
                weight.mul_(gain / (weight.std() * weight.shape[1] ** 0.5))
    return model


def _write(model: str, folder: Path) -> None:
    from transformers import AutoConfig, AutoModel

    shape = SHAPES[model]
    torch.manual_seed(0)
    config = AutoConfig.for_model(shape.kind, **shape.sizes)
    made: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    made.save_pretrained(folder, max_shard_size="100GB")


def _write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of a few words: some libraries open no model without one."""
    words = {"[UNK]": 0, "[PAD]": 1} | {str(number): number for number in range(2, _WORDS)}
    added = [
        {
            "id": words[word],
            "content": word,
            "special": True,
            **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
        }
        for word in ("[UNK]", "[PAD]")
    ]
    parts = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    model = {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"}
    spec = {"version": "1.0", "added_tokens": added, **parts, "model": model}
    write_json(folder / "tokenizer.json", spec | {"pre_tokenizer": {"type": "WhitespaceSplit"}})
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
    write_json(
        folder / "tokenizer_config.json", told | {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    )
