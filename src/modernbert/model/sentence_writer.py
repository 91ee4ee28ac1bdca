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
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.late_keys import mask_keys, pylate_keys, text_keys
from modernbert.model.model import Model
from modernbert.model.sentence import Dense, Sentence
from modernbert.model.sentence_config import LateInteraction, Pool, SentenceConfig, Splade
from modernbert.model.sentence_reader import MODULES, NUM_KEPT, OWN, TEXT
from modernbert.model.sentence_steps import TOKENS, width_after, written_step
from modernbert.model.stored import CONFIG, write_tensors

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
    model_folder.write(model, folder, _keys_of_older_releases(sentence.config, model.head_config))
    dense = iter(sentence.projections)
    for name, content in files_of(sentence.config, model.config, model.head_config).items():
        path = folder / name
        make_folder(path.parent)
        write_json(path, content)
        if path.parent.name.endswith("_Dense"):
            write_tensors(_tensors(next(dense)), path.parent)


def has_sentence(head: HeadConfig | None) -> bool:
    """Return whether a model with this head gives texts vectors or scores."""
    return head is None or head.kind not in _WITHOUT_SENTENCE


def remove_sentence(folder: Path) -> None:
    """Remove what an older model left of how texts have vectors or scores."""
    for name in (MODULES, TEXT, OWN):
        (folder / name).unlink(missing_ok=True)


def files_of(
    config: SentenceConfig, encoder: EncoderConfig, head: HeadConfig | None
) -> dict[str, Any]:
    """Return the JSON files that say how texts have vectors or scores, by their paths."""
    if not has_sentence(head):
        return {}
    modules = _modules(config, encoder, head)
    return {
        MODULES: _listed(modules, config),
        TEXT: _text(config, head),
        OWN: _own(config, head),
        **{
            f"{_place(number, name)}/{CONFIG}": settings
            for number, (name, settings) in enumerate(modules)
            if number
        },
    }


def _modules(
    config: SentenceConfig, encoder: EncoderConfig, head: HeadConfig | None
) -> list[_Module]:
    """List the modules in their order; a scoring head is part of the first."""
    modules: list[_Module] = [("MLMTransformer" if config.is_sparse else "Transformer", {})]
    if _is_scored(head):
        return modules
    width = encoder.vocab_size if config.is_sparse else encoder.dim
    given = None if _is_pylate(config) else TOKENS
    # PyLate's folders do not name the last step, which PyLate always takes.
    for step in config.steps[:-1] if _is_pylate(config) else config.steps:
        modules.append(written_step(step, width, given))
        width = width_after(step, width)
        given = None if isinstance(step, Pool | Splade) else given
    if config.late and not _is_pylate(config):
        modules.append(("MultiVectorMask", mask_keys(config.late)))
    return modules


def _listed(modules: list[_Module], config: SentenceConfig) -> list[dict[str, Any]]:
    # Only PyLate's own class has a residual in the releases that PyLate runs on.
    types = _TYPES | ({"Dense": _PYLATE_DENSE} if _is_pylate(config) else {})
    return [
        {
            "idx": number,
            "name": str(number),
            "path": _place(number, name),
            "type": (types if "use_residual" in settings else _TYPES)[name],
        }
        for number, (name, settings) in enumerate(modules)
    ]


def _place(number: int, name: str) -> str:
    return f"{number}_{name}" if number else ""


def _text(config: SentenceConfig, head: HeadConfig | None) -> dict[str, Any]:
    keys: dict[str, Any] = {"max_seq_length": config.max_length, "do_lower_case": False}
    if _is_scored(head):
        return keys | {"transformer_task": "sequence-classification"}
    if config.late and not _is_pylate(config):
        return keys | {"transformer_task": "feature-extraction"} | text_keys(config.late)
    return keys


def _own(config: SentenceConfig, head: HeadConfig | None) -> dict[str, Any]:
    prompts = {"query": "", "document": "", **config.prompts}
    keys: dict[str, Any] = {"prompts": prompts, "default_prompt_name": config.default_prompt}
    if head is not None and _is_scored(head):
        activation = config.score_activation or _default_activation(head)
        return {"model_type": "CrossEncoder", **keys, "activation_fn": activation}
    keys |= {"similarity_fn_name": config.similarity}
    if config.num_kept is not None:
        keys |= {NUM_KEPT[config.is_sparse]: config.num_kept}
    late = config.late
    if late and late.form == "ColBERT":
        keys |= {"prompts": _without_prefixes(prompts, late)}
        return {"model_type": late.form, **keys, **pylate_keys(config, late)}
    kind = late.form if late else "SparseEncoder" if config.is_sparse else "SentenceTransformer"
    return {"model_type": kind, **keys}


def _is_scored(head: HeadConfig | None) -> bool:
    return head is not None and head.kind == "sequence"


def _is_pylate(config: SentenceConfig) -> bool:
    return config.late is not None and config.late.form == "ColBERT"


def _without_prefixes(prompts: Mapping[str, str], late: LateInteraction) -> dict[str, str]:
    prefixes = {"query": late.query_prefix, "document": late.document_prefix}
    return {name: text.removeprefix(prefixes.get(name, "")) for name, text in prompts.items()}


def _keys_of_older_releases(config: SentenceConfig, head: HeadConfig | None) -> dict[str, Any]:
    """Say where sentence-transformers 4 and 5 look what a cross-encoder does to its scores."""
    told = config.score_activation
    if head is None or not _is_scored(head) or told in (None, _default_activation(head)):
        return {}
    return {"sentence_transformers": {"activation_fn": told}}


def _default_activation(head: HeadConfig) -> str:
    """Return what sentence-transformers does to scores where no file says it."""
    return _SIGMOID if head.num_scores == 1 else _IDENTITY


def _tensors(dense: Dense) -> dict[str, Tensor]:
    return {name: x.detach().cpu().contiguous() for name, x in dense.state_dict().items()}
