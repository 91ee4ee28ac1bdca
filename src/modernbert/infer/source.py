"""What is converted: a folder, hub id or checkpoint file in, a model with its tokenizer out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modernbert.base.errors import CheckpointError, DataError
from modernbert.base.files import read_json, write_json
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.matching import check_match
from modernbert.infer.pretrained import Pretrained, load
from modernbert.infer.told import Told
from modernbert.model import composer, config_file
from modernbert.model.composer import Checkpoint
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.flexbert import head_from_flexbert, is_flexbert
from modernbert.model.hf_head import head_from_hf
from modernbert.model.pickled import SUFFIXES
from modernbert.model.sentence_reader import SHORTEST
from modernbert.model.stored import CONFIG

# A longer "longest text" means that nobody set one (transformers writes 1e30).
_UNSET = 1_000_000


def is_file(source: str) -> bool:
    """Return whether a source is a file, there or not, rather than a folder or a hub id."""
    return Path(source).is_file() or (source.endswith(SUFFIXES) and not Path(source).is_dir())


def open_source(source: str, told: Told) -> Pretrained:
    """Open whatever holds a ModernBERT.

    Raises:
        CheckpointError: it cannot be read, or leaves out what was not told.
        DataError: there is no tokenizer.
    """
    if is_file(source):
        return _from_file(composer.read(Path(source)), told)
    if told.config or told.preset or told.max_length is not None:
        raise CheckpointError(
            f"{source} has a config.json of its own: leave --config, --preset and --max-length out"
        )
    found = load(source, tokenizer=told.tokenizer)
    if told.headless and found.sentence.config.is_sparse:
        raise CheckpointError(
            f"{source} makes its vectors of what its head says: leave --headless out"
        )
    if told.headless:
        found.model.head = None
    return found


def _from_file(checkpoint: Checkpoint, told: Told) -> Pretrained:
    if told.config and told.preset:
        raise CheckpointError("--config and --preset both say a shape: leave one out")
    if told.max_length is not None and told.max_length < SHORTEST:
        raise CheckpointError(
            f"--max-length {told.max_length} leaves no room for text: give {SHORTEST} or more"
        )
    config, head, tokenizer = settle(checkpoint, told)
    if config.max_length < 1:
        raise CheckpointError(
            f"nothing says how long a text {checkpoint.path} reads: add --max-length, in tokens"
        )
    return Pretrained(composer.build(checkpoint, config, head), tokenizer).eval()


def settle(
    checkpoint: Checkpoint, told: Told
) -> tuple[EncoderConfig, HeadConfig | None, Tokenizer]:
    """Gather what a file says, what lies beside it and what was told; no weight is read.

    A config that is told wins over the file's own, that over a config.json beside it, and that
    over the one preset of this size. Where nothing says the longest text, it is 0.

    Raises:
        CheckpointError: something is said nowhere, or does not fit the tensors.
        DataError: there is no tokenizer.
    """
    keys = _keys(checkpoint, told)
    config = _config(checkpoint, told, keys)
    tokenizer, longest = _tokenizer(checkpoint, told)
    if keys is None or not is_flexbert(keys):
        longest = config.max_length
    else:
        longest = keys.get(config_file.LONGEST, longest)
    if told.max_length is not None:
        longest = told.max_length
    config = replace(
        config,
        max_length=longest or 0,
        pad_id=tokenizer.pad_id,
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
    )
    check_match(told.tokenizer or checkpoint.path, config, tokenizer)
    return config, None if told.headless else _head(checkpoint, keys), tokenizer


def _keys(checkpoint: Checkpoint, told: Told) -> Mapping[str, Any] | None:
    """Find the config's keys: told, in the file, or beside it; None where a preset is to do."""
    beside = checkpoint.path.parent / CONFIG
    if told.config:
        return config_file.read(told.config)
    if told.preset:
        return None
    if checkpoint.settings is not None:
        return checkpoint.settings
    return config_file.read(beside) if beside.is_file() else None


def _config(checkpoint: Checkpoint, told: Told, keys: Mapping[str, Any] | None) -> EncoderConfig:
    if keys is not None:
        config = config_file.to_config(keys)
        # FlexBert's own number is from before the table was padded.
        rows = composer.num_ids(checkpoint) if is_flexbert(keys) else config.vocab_size
        return replace(config, vocab_size=rows)
    if told.preset:
        return composer.like(checkpoint, config_file.preset(told.preset))
    return composer.like(checkpoint, composer.of_this_size(checkpoint))


def _head(checkpoint: Checkpoint, keys: Mapping[str, Any] | None) -> HeadConfig | None:
    if keys is not None and not is_flexbert(keys):
        return head_from_hf(keys, checkpoint.tensors)
    found = composer.head_of(checkpoint)
    return found if keys is None or found is None else head_from_flexbert(keys)


def _tokenizer(checkpoint: Checkpoint, told: Told) -> tuple[Tokenizer, int | None]:
    """Find the tokenizer, and how long its texts may be where it says so."""
    if told.tokenizer:
        return _tokenizer_in(told.tokenizer)
    if checkpoint.tokenizer:
        with TemporaryDirectory() as place:
            for name, content in checkpoint.tokenizer.items():
                write_json(Path(place) / Path(name).name, content)
            try:
                return _tokenizer_in(Path(place))
            except DataError as error:
                raise CheckpointError(
                    f"the tokenizer inside {checkpoint.path} cannot be read: add --tokenizer FOLDER"
                ) from error
    beside = checkpoint.path.parent
    if not (beside / "tokenizer.json").is_file():
        raise CheckpointError(
            f"{checkpoint.path} has no tokenizer in or beside it: add --tokenizer FOLDER"
        )
    return _tokenizer_in(beside)


def _tokenizer_in(place: Path) -> tuple[Tokenizer, int | None]:
    tokenizer, beside = Tokenizer.load(place), place / "tokenizer_config.json"
    said = read_json(beside) if beside.is_file() else {}
    longest = said.get("model_max_length")
    if not isinstance(longest, int | float) or longest >= _UNSET:
        return tokenizer, None
    return tokenizer, int(longest)
