"""A folder of sentence-transformers or PyLate in, what follows the encoder out.

Types of modules and names of activations are looked up in tables; nothing is imported by a name
that a file gives, and no code in the folder is run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from torch import Tensor

from modernbert.base.errors import CheckpointError
from modernbert.model import pickled
from modernbert.model.config import EncoderConfig
from modernbert.model.late_keys import LateFiles, read_late
from modernbert.model.model import Model
from modernbert.model.sentence import Dense, Sentence
from modernbert.model.sentence_config import (
    DenseShape,
    LateInteraction,
    Normalize,
    Pool,
    SentenceConfig,
    Splade,
    Step,
)
from modernbert.model.sentence_steps import READABLE, SENTENCE, TOKENS, read_step, width_after
from modernbert.model.settings import Settings
from modernbert.model.stored import CONFIG, PICKLE, WEIGHTS, read_list, read_tensors

MODULES, OWN = "modules.json", "config_sentence_transformers.json"
TEXT = "sentence_bert_config.json"
NUM_KEPT = {True: "max_active_dims", False: "truncate_dim"}
"""Key of how many numbers of a vector are given out, by whether it is sparse."""

_TRANSFORMERS = ("Transformer", "MLMTransformer")
_MASK = "MultiVectorMask"
_TOLD = ("Pooling", "Dense", "SpladePooling")
"""Modules that every release writes settings of; without them theirs do not open either."""
SHORTEST = 3
"""Tokens that a text needs: [CLS], [SEP], and one between them."""


@dataclass(frozen=True, slots=True)
class _Module:
    """One entry of modules.json."""

    name: str
    """Its class: the last part of its type."""
    place: Path
    is_pylate: bool

    @property
    def settings(self) -> Settings:
        path = self.place / CONFIG
        if self.name in _TOLD and not path.exists():
            raise CheckpointError(f"{path} is missing, and {MODULES} names it: copy it again")
        return Settings.of(path)


def model_place(folder: Path) -> Path:
    """Return the folder of config.json, which modules.json may say is a folder inside.

    Raises:
        CheckpointError: modules.json is broken, or names what cannot be computed.
    """
    modules = _modules(folder)
    return modules[0].place if modules else folder


def read_sentence(folder: Path, model: Model) -> Sentence:
    """Read what follows the encoder; a folder without modules.json pools by the mean.

    Raises:
        CheckpointError: a file is missing or broken, or asks for what cannot be computed.
    """
    modules = _modules(folder)
    place = modules[0].place if modules else folder
    own, text = Settings.of(folder / OWN), Settings.of(place / TEXT)
    if text.content.get("processing_kwargs"):
        raise text.fault("processing_kwargs", "not read here: take it out if the model needs none")
    late = _late(modules, own, text)
    steps = _steps(folder, modules, late, model)
    config = SentenceConfig(
        max_length=max(_max_length(place, text, model.config), *_side_lengths(late)),
        steps=steps,
        prompts=_prompts(own, late),
        default_prompt=own.get("default_prompt_name", str),
        similarity=own.get("similarity_fn_name", str) or _similarity(own),
        has_lower_case=bool(text.get("do_lower_case", bool)),
        late=late,
        score_activation=_score_activation(own, Settings.of(place / CONFIG)),
        num_kept=None if late else _num_kept(own, steps),
    )
    _check(folder, config, model)
    sentence = Sentence(config)
    for dense, module in zip(sentence.projections, _named(modules, "Dense"), strict=True):
        _fill(dense, module.place)
    return sentence


def _modules(folder: Path) -> list[_Module]:
    path = folder / MODULES
    listed = read_list(path) if path.exists() else []
    modules = [_module(entry, path) for entry in listed]
    if modules and modules[0].name not in _TRANSFORMERS:
        raise CheckpointError(f"{path} begins with {modules[0].name}: it must be a Transformer")
    return modules


def _module(entry: Any, path: Path) -> _Module:
    keys = Settings(path, entry if isinstance(entry, dict) else {})
    kind, inside = keys.get("type", str) or "", PurePosixPath(keys.get("path", str) or "")
    if inside.is_absolute() or ".." in inside.parts:
        raise keys.fault("path", "outside the folder")
    root, _, name = kind.partition(".")
    name = name.rpartition(".")[2]
    known = (*_TRANSFORMERS, *READABLE, _MASK)
    if name == "HierarchicalTokenPooling":
        raise CheckpointError(
            f"{path} pools tokens by {name}, which is for an index to do: take it out of the list, "
            "and say --compress pool:N to `modernbert index`"
        )
    if root not in ("sentence_transformers", "pylate") or name not in known:
        raise CheckpointError(
            f"{path} has a module of type {kind!r}, which cannot be computed: known are "
            f"{', '.join(known)} of sentence_transformers and pylate"
        )
    return _Module(name, path.parent / inside, root == "pylate")


def _named(modules: list[_Module], name: str) -> list[_Module]:
    return [module for module in modules if module.name == name]


def _late(modules: list[_Module], own: Settings, text: Settings) -> LateInteraction | None:
    kind = own.get("model_type", str)
    if kind not in ("ColBERT", "MultiVectorEncoder") and not any(m.is_pylate for m in modules):
        return None
    mask = next((module.settings for module in _named(modules, _MASK)), None)
    return read_late(LateFiles(own, text, mask), is_pylate=kind != "MultiVectorEncoder")


def _steps(
    folder: Path, modules: list[_Module], late: LateInteraction | None, model: Model
) -> tuple[Step, ...]:
    steps: list[Step] = []
    for module in modules[1:]:
        is_pooled = any(isinstance(step, Pool | Splade) for step in steps)
        if module.name in READABLE:
            step = read_step(module.name, module.settings, SENTENCE if is_pooled else TOKENS)
            steps += [step] if step else []
    if late is not None and late.form == "ColBERT":
        return (*steps, Normalize())  # PyLate does so without saying it
    if late is not None or any(isinstance(step, Pool | Splade) for step in steps):
        return tuple(steps)
    is_scored = model.head_config is not None and model.head_config.kind == "sequence"
    if is_scored or not modules:
        return (Pool(),)
    raise CheckpointError(f"{folder / MODULES} has no Pooling: without it a text has no vector")


def _similarity(own: Settings) -> str:
    by_default = {"SparseEncoder": "dot", "ColBERT": "MaxSim", "MultiVectorEncoder": "maxsim"}
    return by_default.get(own.get("model_type", str) or "", "cosine")


def _prompts(own: Settings, late: LateInteraction | None) -> Mapping[str, str]:
    told = own.within("prompts")
    prompts = {name: told.get(name, str) or "" for name in told.content}
    if late is None:
        return prompts
    begun = {"query": late.query_prefix, "document": late.document_prefix}
    return prompts | {
        name: prefix + prompts.get(name, "").removeprefix(prefix) for name, prefix in begun.items()
    }


def _num_kept(own: Settings, steps: tuple[Step, ...]) -> int | None:
    key = NUM_KEPT[any(isinstance(step, Splade) for step in steps)]
    told = own.get(key, int)
    if told is not None and told < 1:
        raise own.fault(key, "less than 1")
    return told


def _max_length(place: Path, text: Settings, encoder: EncoderConfig) -> int:
    told = text.get("max_seq_length", int)
    if told is not None and told < SHORTEST:
        raise text.fault("max_seq_length", f"fewer than {SHORTEST}: no room for text")
    if told is not None:
        return told
    limit = Settings.of(place / "tokenizer_config.json").content.get("model_max_length")
    # Tokenizers of early models say 1e30.
    longest = encoder.max_length
    if isinstance(limit, int | float):
        longest = int(min(limit, longest))
    if longest < SHORTEST:
        raise CheckpointError(
            f"{place} reads texts of {longest} tokens at most, fewer than {SHORTEST}: no room for "
            "text, so set max_position_embeddings in config.json"
        )
    return longest


def _side_lengths(late: LateInteraction | None) -> tuple[int, int]:
    """Return PyLate's lengths: it sets the other one anew for each call, and saves what it was."""
    if late is None or late.form != "ColBERT":
        return 0, 0
    return late.query_length or 0, late.document_length or 0


def _score_activation(own: Settings, config: Settings) -> str | None:
    """Return what a cross-encoder does to scores, where this or an older release says it."""
    return (
        own.get("activation_fn", str)
        or config.within("sentence_transformers").get("activation_fn", str)
        or config.get("sbert_ce_default_activation_function", str)
    )


def _check(folder: Path, config: SentenceConfig, model: Model) -> None:
    """Refuse modules that do not fit each other."""
    name = config.default_prompt
    if name is not None and config.prompt(name) is None:
        raise CheckpointError(
            f"{folder / OWN} uses the prompt {name!r}, and has only {', '.join(config.prompts)}"
        )
    if config.is_sparse and (model.head_config is None or model.head_config.kind != "masked_lm"):
        raise CheckpointError(f"{folder} pools logits, and its model has no masked-LM head")
    dim = model.config.vocab_size if config.is_sparse else model.config.dim
    for step in config.steps:
        if isinstance(step, DenseShape) and (step.in_dim != dim or step.out_dim < 1):
            raise CheckpointError(
                f"{folder} turns vectors of {step.in_dim} into {step.out_dim} where vectors have "
                f"{dim}: its modules do not belong together"
            )
        dim = width_after(step, dim)


def _fill(dense: Dense, place: Path) -> None:
    found = _tensors_of_module(place)
    wanted = dict(dense.named_parameters())
    if found.keys() != wanted.keys():
        raise CheckpointError(
            f"{place} has the tensors {', '.join(sorted(found))} and needs "
            f"{', '.join(sorted(wanted))}: copy it again"
        )
    for name, weight in wanted.items():
        if weight.shape != found[name].shape:
            raise CheckpointError(
                f"{place}: {name} has shape {list(found[name].shape)}, {CONFIG} asks for "
                f"{list(weight.shape)}: the two files do not belong together"
            )
        weight.data = found[name]


def _tensors_of_module(place: Path) -> dict[str, Tensor]:
    """Read a module's weights; libraries before safetensors left a pickle, read without code."""
    pickle = place / PICKLE
    if (place / WEIGHTS).exists() or not pickle.exists():
        return dict(read_tensors(place))
    return pickled.load_tensors(pickle)
