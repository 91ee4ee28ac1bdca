"""A model where it lies in, what it is out: sizes, shape, head, tokenizer, who opens it.

Weights stay on disk: names, shapes and formats come from the files' headers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from torch import Tensor

from modernbert.base.errors import CheckpointError, DataError, UserError
from modernbert.base.files import read_json
from modernbert.data.tokenizer import ROLES, Tokenizer
from modernbert.infer.hub import folder_of
from modernbert.infer.source import is_file, settle
from modernbert.infer.told import Told
from modernbert.model import composer, folder, sentence_reader, stored
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.init import outline
from modernbert.model.opens import TOKENIZER, TOOLS, Contents, Opening, openings

# The first of these that a tensor's name holds says which part it is.
_PARTS = {
    "head.": "head",
    "decoder.": "decoder",
    "classifier.": "classifier",
    "tok_embeddings": "embeddings",
    "position_embeddings": "embeddings",
    ".attn.": "attention",
    ".mlp.": "mlp",
    "norm": "norms",
}
_SHOWN = ("embeddings", "attention", "mlp", "norms", "head", "decoder", "classifier")
_POOLING = "1_Pooling/config.json"
_PATTERN_WORDS = {True: "global", False: "local"}


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What a tokenizer is."""

    kind: str
    num_ids: int
    special_ids: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model is."""

    source: str
    form: str
    """What lies there: a model folder, a Composer checkpoint, ..."""
    parameters: Mapping[str, int]
    """By part; a tied decoder counts once."""
    dtypes: tuple[str, ...]
    size_bytes: int
    """Of the files that hold weights."""
    config: EncoderConfig | None
    """None where the source does not say enough."""
    unsaid: str
    """What is missing, then."""
    layers: str
    """The pattern of global and local layers in words."""
    head: HeadConfig | None
    named: str
    """The class that config.json names."""
    fault: str
    """Why nothing can compute it rightly; empty where it can be."""
    pooling: str
    """How a text becomes one vector, where the source says so."""
    modules: tuple[str, ...]
    """Types of the sentence-transformers modules."""
    tokenizer: TokenizerFacts | None
    opens: tuple[Opening, ...]


def facts_of(source: str) -> Facts:
    """Look at a folder, hub id or checkpoint file.

    Raises:
        CheckpointError: it cannot be read, or is no ModernBERT.
    """
    return _of_file(Path(source)) if is_file(source) else _of_folder(source)


def _of_folder(source: str) -> Facts:
    given = folder_of(source)
    place = _model_place(given)
    keys, stored_as = stored.read_object(place / stored.CONFIG), stored.headers(place)
    tensors = {stored.plain(name): each for name, each in stored_as.items()}
    contents = Contents(_files(given), frozenset(stored_as))
    config, head = folder.config_and_head(keys, tensors, place)
    fault = _fault(given, place, contents, keys, tensors)
    return Facts(
        source=source,
        form="sentence-transformers folder" if contents.modules else "model folder",
        parameters=_parameters(tensors, config),
        dtypes=_dtypes(tensors),
        size_bytes=sum(path.stat().st_size for path in stored.weight_files(place)),
        config=config,
        unsaid="",
        layers=spelled_layers(config),
        head=head,
        named=str((keys.get("architectures") or [""])[0]),
        fault=fault,
        pooling=_pooling(contents, head),
        modules=contents.modules,
        tokenizer=_tokenizer_in(place),
        opens=_nowhere(fault)
        if fault
        else (_here(given, place, config, head), *openings(contents)),
    )


def _fault(
    given: Path,
    place: Path,
    contents: Contents,
    keys: Mapping[str, object],
    tensors: Mapping[str, Tensor],
) -> str:
    """Say what in a folder does not fit the rest, as far as it shows without reading weights."""
    try:
        if sentence_reader.MODULES in contents.files:
            stored.read_list(given / sentence_reader.MODULES)
        folder.outline_of(keys, tensors, place)
    except CheckpointError as error:
        return str(error)
    if len(tensors) < len(contents.tensors):
        return f"{place} has tensors twice, with model. before their names and without"
    return ""


def _here(given: Path, place: Path, config: EncoderConfig, head: HeadConfig | None) -> Opening:
    """Say whether this package reads the tokenizer, and what follows the encoder."""
    try:
        Tokenizer.load(place)
        sentence_reader.read_sentence(given, outline(config, head))
    except UserError as error:
        return Opening("modernbert", "no", str(error))
    return Opening("modernbert", "yes")


def _nowhere(why: str) -> tuple[Opening, ...]:
    return tuple(Opening(tool, "no", why) for tool in TOOLS)


def _model_place(given: Path) -> Path:
    try:
        return sentence_reader.model_place(given)
    except CheckpointError:  # what cannot be computed can still be looked over
        return given


def _of_file(path: Path) -> Facts:
    found = composer.read(path)
    unsaid, config, head, tokenizer = "", None, None, None
    try:
        config, head, tokenizer = settle(found, Told())
    except UserError as error:
        unsaid = str(error)
    is_pickle = path.suffix != ".safetensors"
    bare = "tensors saved by torch" if is_pickle else "tensors without a config.json"
    what = "a pickle" if is_pickle else "weights alone"
    return Facts(
        source=str(path),
        form="Composer checkpoint" if found.settings is not None else bare,
        parameters=_parameters(found.tensors, config),
        dtypes=_dtypes(found.tensors),
        size_bytes=path.stat().st_size,
        config=config,
        unsaid=unsaid,
        layers=spelled_layers(config) if config else "",
        head=head,
        named="",
        fault="",
        pooling="",
        modules=(),
        tokenizer=_tokenizer(tokenizer) if tokenizer else None,
        opens=_nowhere(f"it is {what}: `modernbert convert` makes a folder of it"),
    )


def spelled_layers(config: EncoderConfig) -> str:
    """Say in words which layers are global."""
    kinds = [config.is_global(layer) for layer in range(config.num_layers)]
    regular = [layer % config.global_every == 0 for layer in range(config.num_layers)]
    number = sum(kinds)
    if number in (0, len(kinds)):
        return f"{len(kinds)}, all {_PATTERN_WORDS[number > 0]}"
    if kinds == regular:
        how = f"one in {config.global_every} is global, from the first"
    else:
        runs = ((_PATTERN_WORDS[kind], len([*run])) for kind, run in groupby(kinds))
        how = ", ".join(f"{length} {kind}" for kind, length in runs)
    return f"{len(kinds)}, {number} global and {len(kinds) - number} local: {how}"


def _parameters(tensors: Mapping[str, Tensor], config: EncoderConfig | None) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, tensor in tensors.items():
        is_again = name == "decoder.weight" and (config is None or config.tie_embeddings)
        part = next((part for word, part in _PARTS.items() if word in name), "other")
        counts[part] += 0 if is_again else tensor.numel()
    return {part: counts[part] for part in (*_SHOWN, "other") if counts[part]}


def _dtypes(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    return tuple(sorted({str(each.dtype).removeprefix("torch.") for each in tensors.values()}))


def _files(place: Path) -> dict[str, object]:
    inside = (stored.CONFIG, stored.WEIGHTS, stored.PICKLE)
    paths = sorted(
        [*place.glob("*"), *(path for name in inside for path in place.glob(f"*/{name}"))]
    )
    return {
        path.relative_to(place).as_posix(): _json(path) if path.suffix == ".json" else None
        for path in paths
        if path.is_file() and not (path.parent != place and _is_broken(path))
    }


def _is_broken(path: Path) -> bool:
    """Return whether a module's weights cannot be read; a pickle is not looked at."""
    if path.name != stored.WEIGHTS:
        return False
    try:
        stored.headers(path.parent)
    except CheckpointError:
        return True
    return False


def _json(path: Path) -> object:
    try:
        return read_json(path)
    except ValueError as error:
        if path.name == TOKENIZER:  # a tool that reads it is said to stop there
            return None
        raise CheckpointError(f"{path} is not JSON ({error}): copy it again") from error


def _pooling(contents: Contents, head: HeadConfig | None) -> str:
    told = contents.said(_POOLING)
    if told is not None:
        new = told.get("pooling_mode")
        old = (key.removeprefix("pooling_mode_") for key, value in told.items() if value is True)
        return str(new or " and ".join(name.removesuffix("_tokens") for name in old))
    return head.pooling if head is not None and head.reads_documents else ""


def _tokenizer_in(place: Path) -> TokenizerFacts | None:
    try:
        return _tokenizer(Tokenizer.load(place))
    except DataError:
        return None


def _tokenizer(tokenizer: Tokenizer) -> TokenizerFacts:
    special = {role: getattr(tokenizer, f"{role}_id") for role in ROLES}
    return TokenizerFacts(tokenizer.kind, tokenizer.vocab_size, special)
