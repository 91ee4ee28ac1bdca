"""A model and what follows its encoder in, a folder that every library opens alike out.

Types are written as sentence-transformers before 5.4 names them, since later releases, vLLM and
text-embeddings-inference read these too; keys as in the strictest reader of each file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from modernbert.base.files import make_folder, write_json
from modernbert.model import folder as model_folder
from modernbert.model.late_keys import mask_keys, pylate_keys, text_keys
from modernbert.model.model import Model
from modernbert.model.sentence import Dense, Sentence
from modernbert.model.sentence_config import LateInteraction, Pool, SentenceConfig, Splade
from modernbert.model.sentence_reader import MODULES, OWN, TEXT
from modernbert.model.sentence_steps import TOKENS, width_after, written_step

_TYPES = {
    name: f"sentence_transformers.models.{name}"
    for name in ("Transformer", "Pooling", "Dense", "Normalize")
} | {
    "MLMTransformer": "sentence_transformers.sparse_encoder.models.MLMTransformer",
    "SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling",
    "MultiVectorMask": (
        "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
    ),
}
_PYLATE_DENSE = "pylate.models.Dense.Dense"
_SIGMOID = "torch.nn.modules.activation.Sigmoid"
_IDENTITY = "torch.nn.modules.linear.Identity"
# Nobody embeds or scores whole texts with these.
_WITHOUT_SENTENCE = ("tokens", "spans", "choice")


_Module = tuple[str, dict[str, Any]]
"""The class of a module and its settings."""


def write(model: Model, folder: Path, sentence: Sentence | None = None) -> None:
    """Write a model and, where texts have vectors or scores, how; a plain model pools by the mean.

    Raises:
        ConfigError: a special token's id is outside the vocabulary.
        MachineError: the disk is full or the folder cannot be written.
    """
    sentence = sentence or Sentence(SentenceConfig(max_length=model.config.max_length))
    config = sentence.config
    model_folder.write(model, folder, _keys_of_older_releases(model, config))
    if not has_sentence(model):
        return
    modules = _modules(model, config)
    write_json(folder / MODULES, _listed(modules, config))
    write_json(folder / TEXT, _text(model, config))
    write_json(folder / OWN, _own(model, config))
    dense = iter(sentence.projections)
    for number, (name, settings) in enumerate(modules[1:], start=1):
        inside = folder / f"{number}_{name}"
        make_folder(inside)
        write_json(inside / model_folder.CONFIG, settings)
        if name == "Dense":
            model_folder.write_tensors(_tensors(next(dense)), inside)


def has_sentence(model: Model) -> bool:
    """Return whether a model gives texts vectors or scores."""
    return model.head_config is None or model.head_config.kind not in _WITHOUT_SENTENCE


def remove_sentence(folder: Path) -> None:
    """Remove what an older model left of how texts have vectors or scores."""
    for name in (MODULES, TEXT, OWN):
        (folder / name).unlink(missing_ok=True)


def _is_scored(model: Model) -> bool:
    return model.head_config is not None and model.head_config.kind == "sequence"


def _modules(model: Model, config: SentenceConfig) -> list[_Module]:
    """List the modules in their order; a scoring head is part of the first."""
    modules: list[_Module] = [("MLMTransformer" if config.is_sparse else "Transformer", {})]
    if _is_scored(model):
        return modules
    late = config.late
    is_pylate = late is not None and late.form == "ColBERT"
    width = model.config.vocab_size if config.is_sparse else model.config.dim
    given = None if is_pylate else TOKENS
    # PyLate's folders do not name the last step, which PyLate always takes.
    for step in config.steps[:-1] if is_pylate else config.steps:
        modules.append(written_step(step, width, given))
        width = width_after(step, width)
        given = None if isinstance(step, Pool | Splade) else given
    return [*modules, ("MultiVectorMask", mask_keys(late))] if late and not is_pylate else modules


def _listed(modules: list[_Module], config: SentenceConfig) -> list[dict[str, Any]]:
    is_pylate = config.late is not None and config.late.form == "ColBERT"
    return [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{name}" if number else "",
            # Only PyLate's own class has a residual in the releases that PyLate runs on.
            "type": _PYLATE_DENSE if is_pylate and "use_residual" in settings else _TYPES[name],
        }
        for number, (name, settings) in enumerate(modules)
    ]


def _text(model: Model, config: SentenceConfig) -> dict[str, Any]:
    keys: dict[str, Any] = {"max_seq_length": config.max_length, "do_lower_case": False}
    if _is_scored(model):
        return keys | {"transformer_task": "sequence-classification"}
    if config.late and config.late.form == "MultiVectorEncoder":
        return keys | {"transformer_task": "feature-extraction"} | text_keys(config.late)
    return keys


def _own(model: Model, config: SentenceConfig) -> dict[str, Any]:
    late = config.late
    keys = {"default_prompt_name": config.default_prompt}
    if _is_scored(model):
        activation = config.score_activation or _default_activation(model)
        keys |= {"model_type": "CrossEncoder", "activation_fn": activation}
        return keys | {"prompts": dict(config.prompts)}
    keys |= {"similarity_fn_name": config.similarity}
    if late and late.form == "ColBERT":
        prompts = _without_prefixes(config.prompts, late)
        return keys | {"model_type": "ColBERT", "prompts": prompts} | pylate_keys(config, late)
    kind = late.form if late else "SparseEncoder" if config.is_sparse else "SentenceTransformer"
    prompts = {"query": "", "document": "", **config.prompts}
    return keys | {"model_type": kind, "prompts": prompts}


def _without_prefixes(prompts: Mapping[str, str], late: LateInteraction) -> dict[str, str]:
    prefixes = {"query": late.query_prefix, "document": late.document_prefix}
    return {name: text.removeprefix(prefixes.get(name, "")) for name, text in prompts.items()}


def _keys_of_older_releases(model: Model, config: SentenceConfig) -> dict[str, Any]:
    """Say where sentence-transformers 4 and 5 look what a cross-encoder does to its scores."""
    told = config.score_activation
    if not _is_scored(model) or told is None or told == _default_activation(model):
        return {}
    return {"sentence_transformers": {"activation_fn": told}}


def _default_activation(model: Model) -> str:
    """Return what sentence-transformers does to scores where no file says it."""
    assert model.head_config is not None
    return _SIGMOID if model.head_config.num_scores == 1 else _IDENTITY


def _tensors(dense: Dense) -> dict[str, Tensor]:
    return {name: x.detach().cpu().contiguous() for name, x in dense.state_dict().items()}
