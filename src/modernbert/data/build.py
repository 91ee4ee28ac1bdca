"""Sources of text and a tokenizer in, a corpus folder out; a build that was stopped goes on."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import make_folder, remove_folder, sweep, whole_file, write_json
from modernbert.base.log import Meter, meter
from modernbert.base.records import from_plain, nearest
from modernbert.data import manifest as manifests
from modernbert.data.documents import Found, find
from modernbert.data.manifest import NAMES, UNIGRAMS, BuildOptions, Manifest, Plan, SourceFacts
from modernbert.data.parts import build_source, forget
from modernbert.data.shards import Shard, dtype_for
from modernbert.data.tokenizer import Tokenizer

__all__ = ["BuildOptions", "build"]

_PLAN = "plan.json"
_COUNT_BLOCK = 1 << 24


def build(
    sources: Mapping[str, Sequence[Path]],
    tokenizer: Tokenizer,
    out: Path,
    *,
    options: BuildOptions | None = None,
    report: Callable[[str], None] = print,
) -> Manifest:
    """Encode texts into a corpus folder.

    The same inputs give the same bytes, stopped and repeated or not. Needs memory for one shard
    and some batches of text. `report` is told what was dropped, repaired or passed over.

    Raises:
        ConfigError: a source's name is no folder name, or an option is out of range.
        DataError: the inputs cannot be read, or `out` holds something else.
        MachineError: the disk is full; the shards that were finished stay.
    """
    options = options or BuildOptions()
    _check(sources, options)
    found = {name: find(sources[name]) for name in sorted(sources)}
    plan = Plan(
        tokenizer.fingerprint,
        tokenizer.vocab_size,
        dtype_for(tokenizer.vocab_size, options.dtype),
        options,
        tuple((name, files.fingerprint) for name, files in found.items()),
    )
    if _claim(out, plan, report):
        return manifests.read_manifest(out)
    tokenizer.save(out)
    facts = _encoded(found, tokenizer, plan, out)
    _report(facts, report)
    manifest = Manifest.of(plan, facts, _count(out, plan, facts))
    if not manifest.total("documents", "train"):
        raise DataError("no document is left to train on: give more text, or hold out less of it")
    manifests.write_manifest(out, manifest)
    _tidy(out, facts)
    return manifest


def _encoded(
    found: Mapping[str, Found], tokenizer: Tokenizer, plan: Plan, out: Path
) -> tuple[SourceFacts, ...]:
    facts, before = [], 0
    with meter("encoding", sum(files.size_bytes for files in found.values())) as progress:
        for name, files in found.items():
            show = partial(_show, progress, name, before)
            facts.append(build_source(files, tokenizer, plan, out / name, show))
            before += files.size_bytes
    return tuple(facts)


def _show(progress: Meter, source: str, before: int, bytes_read: int, documents: int) -> None:
    progress.at(before + bytes_read, f"{source}: {documents:,} documents")


def _check(sources: Mapping[str, Sequence[Path]], options: BuildOptions) -> None:
    if not sources:
        raise ConfigError("there is no source to build from: give at least one")
    for name in sources:
        if not NAMES.fullmatch(name):
            raise ConfigError(
                f"a source cannot be called {name!r}: use ASCII letters, digits, dots, _ and -, "
                "and name a path with NAME=PATH"
            )
    if not 0 <= options.heldout_fraction < 1:
        raise ConfigError(
            f"heldout_fraction is {options.heldout_fraction}: give a share from 0 to below 1"
        )
    for name in options.heldout_sources:
        if name not in sources:
            raise ConfigError(f"there is no source {name!r} to hold out: {nearest(name, sources)}")
    if options.shard_bytes < 1:
        raise ConfigError(f"shard_bytes is {options.shard_bytes}: give at least 1")


def _claim(out: Path, plan: Plan, report: Callable[[str], None]) -> bool:
    """Make `out` this build's folder; return whether it already holds the finished corpus.

    Parts of a build from other inputs are of no use to this one: they make way.
    """
    make_folder(out)
    sweep(out)
    is_done = (out / manifests.NAME).is_file()
    if is_done:
        before = manifests.read_manifest(out).plan
    elif (out / _PLAN).is_file():
        before = from_plain(Plan, manifests.parsed(out / _PLAN)["plan"])
        if before != plan:
            report(
                f"{out} held an unfinished build from other things "
                f"({', '.join(_changes(before, plan))} changed): it begins anew"
            )
            for name, _ in before.inputs:
                remove_folder(out / name)
            write_json(out / _PLAN, {"format": manifests.FORMAT, "plan": asdict(plan)})
        return False
    elif any(out.iterdir()):
        raise DataError(f"{out} holds files that are no corpus: give a new or empty folder")
    else:
        write_json(out / _PLAN, {"format": manifests.FORMAT, "plan": asdict(plan)})
        return False
    if before != plan:
        raise DataError(
            f"{out} holds a corpus made from other things ({', '.join(_changes(before, plan))} "
            "changed): remove it, or give another folder"
        )
    if is_done:
        _tidy(out, manifests.read_manifest(out).sources)
    return is_done


def _changes(before: Plan, after: Plan) -> Iterator[str]:
    if before.tokenizer != after.tokenizer:
        yield "the tokenizer"
    for option, value in asdict(after.options).items():
        if asdict(before.options)[option] != value:
            yield f"the option {option}"
    old, new = dict(before.inputs), dict(after.inputs)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"the source {name!r}"


def _report(facts: tuple[SourceFacts, ...], report: Callable[[str], None]) -> None:
    for source in facts:
        if source.skipped_files:
            report(f"{source.name}: {source.skipped_files} binary files were passed over")
        if source.repaired:
            report(
                f"{source.name}: {source.repaired} documents held bytes that are not UTF-8 or "
                "halves of characters; U+FFFD stands in their place"
            )
        if source.dropped:
            report(f"{source.name}: {source.dropped} documents without a token were dropped")


def _count(out: Path, plan: Plan, facts: tuple[SourceFacts, ...]) -> int:
    """Write how often each id occurs in the train split; return the file's checksum."""
    counts = np.zeros(plan.vocab_size, dtype="<i8")
    for source in facts:
        for shard in source.train:
            ids = Shard(out / source.name, shard, plan.dtype).all_ids()
            for start in range(0, len(ids), _COUNT_BLOCK):
                block = ids[start : start + _COUNT_BLOCK]
                counts += np.bincount(block, minlength=plan.vocab_size)
    data = counts.tobytes()
    with whole_file(out / UNIGRAMS) as aside:
        aside.write_bytes(data)
    return zlib.crc32(data)


def _tidy(out: Path, facts: tuple[SourceFacts, ...]) -> None:
    """Remove what only an unfinished build needs."""
    for source in facts:
        forget(out / source.name)
    # On a disk that cannot be written, removing even what is absent fails.
    if (out / _PLAN).exists():
        (out / _PLAN).unlink()
