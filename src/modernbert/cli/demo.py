"""The main job on the Python that is installed here: text, tokenizer, shards, model, report.

Every stage leaves a whole result behind and is skipped when it is there, so a second call goes
on where the first one stopped.
"""

import dataclasses
import shlex
import sysconfig
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modernbert.base import files
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import count, duration, say
from modernbert.base.records import from_plain, to_plain
from modernbert.base.rng import key
from modernbert.cli.demo_search import FoundFunctions, can_search, say_found, search_functions
from modernbert.data.build import build
from modernbert.data.documents import read
from modernbert.data.manifest import NAME as MANIFEST
from modernbert.data.manifest import BuildOptions
from modernbert.data.tokenizer import Tokenizer
from modernbert.data.train_tokenizer import train as train_tokenizer
from modernbert.evals.examples import Example, examples_of
from modernbert.evals.report import steps_of, write_report
from modernbert.infer.pretrained import load
from modernbert.kernels.precision import choose_precision
from modernbert.recipes.tiny import tiny
from modernbert.train import run as runs
from modernbert.train.evaluate import overall
from modernbert.train.hooks import measure
from modernbert.train.loop import train
from modernbert.train.run import Run
from modernbert.train.trial import tokens_per_second

VOCAB_SIZE = 8192
_SUMMARY = "summary.json"
_SPENT = "spent.json"
_FILES = "files.json"
_MOST_TEXT_BYTES = 24_000_000
_TEXT_BYTES_A_MINUTE = 5_000_000
_SAMPLE_BYTES = 8_000_000
_HELDOUT = 0.02
_LEAST_HELDOUT_FILES = 20
"""Expected number; a hash of each text decides."""
_LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3")
_INTERRUPTED = 130
_MOST_SEARCHED_BYTES = 36_000_000
_SEARCH_SHARE = 0.6
"""Share of the minutes that are left after the shards in which functions are learned and found."""
_TRAINING_SHARE = 0.85
"""Share of what is left after the shards that is training's; the rest evaluates and reports."""
_LEAST_MINUTES = 0.05
_MOST_MINUTES = 100_000
_EVALUATED_TOKENS = 20_000
"""Held-out tokens of each source that one evaluation reads."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summary.json` says."""

    seconds: float
    tokens: int
    tokens_per_second: float
    heldout_loss: float
    heldout_masked_accuracy: float
    most_frequent_token_accuracy: float
    packing_fill: float
    model: str
    search: FoundFunctions | None
    """How well functions are found; None where the packages for it are not installed."""


def run_demo(folder: Path, minutes: float) -> int:
    """Do every stage that is not done yet; return 130 when stopped before the end.

    Raises:
        ConfigError: the minutes are not possible, or the folder holds something else.
        DataError: there is no Python source, or too little to hold some out.
        MachineError: the folder cannot be written.
    """
    if not 0 < minutes <= _MOST_MINUTES:
        raise ConfigError(f"minutes is {minutes}: give a number above 0, up to {_MOST_MINUTES:g}")
    files.make_folder(folder)
    if any(folder.iterdir()) and not _is_demo(folder):
        raise ConfigError(f"{folder} holds files that are no demo: give a new or empty folder")
    if (folder / _SUMMARY).exists():
        say(f"{folder} is finished; remove it to begin anew")
        _say(from_plain(Summary, files.read_json(folder / _SUMMARY)), [], folder)
        return 0
    with _timed(folder) as started:
        _choose_files(folder, minutes)
        tokenizer = _tokenizer(folder)
        _corpus(folder, tokenizer)
        stop = started + 60 * minutes
        share = 1 - _SEARCH_SHARE if can_search() else 1.0
        with closing(_run(folder, share * (stop - time.monotonic()) / 60)) as run:
            return _trained(run, folder, started, stop)


def _is_demo(folder: Path) -> bool:
    """Return whether an earlier call was here: it wrote its time down, however it ended."""
    try:
        files.read_json(folder / _SPENT)["seconds"] + 0.0
        if (folder / _FILES).exists():
            return all(isinstance(each, list) for each in files.read_json(folder / _FILES).values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


@contextmanager
def _timed(folder: Path) -> Iterator[float]:
    """Give the moment the demo began, had its calls followed each other without a pause."""
    if not (folder / _SPENT).exists():
        files.write_json(folder / _SPENT, {"seconds": 0.0})
    started = time.monotonic() - files.read_json(folder / _SPENT)["seconds"]
    try:
        yield started
    finally:
        files.write_json(folder / _SPENT, {"seconds": time.monotonic() - started})


def _trained(run: Run, folder: Path, started: float, stop: float) -> int:
    again = f"or go on with the demo: modernbert demo --out {shlex.quote(str(folder))}"
    if not train(run):
        say(again)
        return _INTERRUPTED
    model = run.finish()
    examples = examples_of(load(model), run.corpus, num_examples=8)
    summary = _summary(run, model)
    write_report(run.folder, folder / "report.html", examples)
    if can_search():
        sources = _searched_files((stop - started) / 60)
        left = stop - time.monotonic()
        found = search_functions(folder, sources, summary.tokens_per_second, left)
        if found is None:
            say(again)
            return _INTERRUPTED
        summary = dataclasses.replace(summary, search=found)
    summary = dataclasses.replace(summary, seconds=time.monotonic() - started)
    files.write_json(folder / _SUMMARY, to_plain(summary))
    _say(summary, examples, folder)
    return 0


def _tokenizer(folder: Path) -> Tokenizer:
    target = folder / "tokenizer"
    if not target.exists():
        sources = _sources(folder)
        paths = [path for paths in sources.values() for path in paths]
        say(f"training a tokenizer of {VOCAB_SIZE} entries on {len(paths)} Python files")
        texts = (document.text for document in read(paths))
        trained = train_tokenizer(texts, VOCAB_SIZE, sample_bytes=_SAMPLE_BYTES)
        with files.whole_folder(target) as aside:
            trained.save(aside)
    return Tokenizer.load(target)


def _corpus(folder: Path, tokenizer: Tokenizer) -> None:
    if (folder / "corpus" / MANIFEST).exists():
        return  # finished; the files it was made from may have changed since
    sources = _sources(folder)
    num_files = sum(map(len, sources.values()))
    options = BuildOptions(
        heldout_fraction=min(0.5, max(_HELDOUT, _LEAST_HELDOUT_FILES / num_files))
    )
    manifest = build(sources, tokenizer, folder / "corpus", options=options, report=say)
    if not manifest.total("documents", "heldout"):
        raise DataError(
            f"none of the {num_files} Python files was held out to measure on: "
            f"remove {folder} and give more --minutes"
        )


def _choose_files(folder: Path, minutes: float) -> None:
    """Write down which files the demo reads, once: what is installed may change."""
    listed = folder / _FILES
    if listed.exists():
        return
    each_bytes = int(min(_MOST_TEXT_BYTES, max(minutes, 0.2) * _TEXT_BYTES_A_MINUTE)) // 2
    installed = _installed()
    chosen = {
        "standard-library": _chosen(installed[:1], each_bytes),
        "site-packages": _chosen(installed[1:], each_bytes),
    }
    if not any(chosen.values()):
        raise DataError(f"no Python source below {', '.join(map(str, installed))}")
    files.write_json(listed, {name: list(map(str, each)) for name, each in chosen.items()})


def _installed() -> list[Path]:
    """Return where the standard library is, then where packages are."""
    paths = sysconfig.get_paths()
    return [Path(paths["stdlib"]), *sorted({Path(paths["purelib"]), Path(paths["platlib"])})]


def _searched_files(minutes: float) -> list[Path]:
    """Return the files whose functions are learned and searched: more than the text is taken of."""
    most_bytes = int(min(_MOST_SEARCHED_BYTES, minutes * _TEXT_BYTES_A_MINUTE))
    library, *packages = _installed()
    return _chosen([library], most_bytes) + _chosen(packages, most_bytes)


def _sources(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each source that has any."""
    listed = files.read_json(folder / _FILES).items()
    return {name: [Path(path) for path in paths] for name, paths in listed if paths}


def _chosen(roots: list[Path], most_bytes: int) -> list[Path]:
    """Take files in an order that is random but always the same, up to a size."""
    found = [
        (path, path.relative_to(root).as_posix())
        for root in roots
        for path in root.rglob("*.py")
        if not set(path.relative_to(root).parts) & set(_LEFT_OUT)
    ]
    taken, size_bytes = [], 0
    for path, _ in sorted(found, key=lambda each: key(0, "demo", each[1])):
        here_bytes = path.stat().st_size
        if size_bytes + here_bytes <= most_bytes:
            size_bytes += here_bytes
            taken.append(path)
    return sorted(taken)


def _run(folder: Path, minutes: float) -> Run:
    target = folder / "run"
    if (target / "run.json").exists():
        return runs.resume(target)
    minutes = max(minutes, _LEAST_MINUTES)
    device = choose_device("auto")
    recipe = tiny()
    config = dataclasses.replace(
        recipe,
        corpus=str(folder / "corpus"),
        precision=choose_precision("auto", device, recipe.model.dim),
        evaluate_tokens=_EVALUATED_TOKENS,
    )
    rate = tokens_per_second(config)
    tokens = int(rate * minutes * 60 * _TRAINING_SHARE)
    say(f"{count(rate)} tokens a second here: {minutes:g} minutes allow {count(tokens)} tokens")
    config = config.scaled_to(tokens)
    config = dataclasses.replace(
        config, save_every_tokens=max(1, tokens // 8), evaluate_every_tokens=max(1, tokens // 4)
    )
    return runs.create(config, target)


def _summary(run: Run, model: Path) -> Summary:
    rows = steps_of(run.folder)
    tokens = sum(row["batch_tokens"] for row in rows)
    heldout = overall(measure(run, run.config.phases[-1].name))
    return Summary(
        seconds=0.0,
        tokens=tokens,
        tokens_per_second=tokens / sum(row["seconds"] for row in rows),
        heldout_loss=heldout.loss,
        heldout_masked_accuracy=heldout.masked_accuracy,
        most_frequent_token_accuracy=heldout.most_frequent_token_accuracy,
        packing_fill=sum(row["fill"] * row["batch_tokens"] for row in rows) / tokens,
        model=str(model.resolve()),
        search=None,
    )


def _say(summary: Summary, examples: list[Example], folder: Path) -> None:
    for each in examples:
        line = " ".join(each.before.split())[-48:]
        best = each.guesses[0]
        say(
            f"  ...{line} [{each.answer.strip()}]  "
            f"guessed {best.token.strip()!r} ({best.probability:.0%})"
        )
    say(
        f"held-out code: masked accuracy {summary.heldout_masked_accuracy:.1%}, always guessing "
        f"the most frequent token {summary.most_frequent_token_accuracy:.1%}, "
        f"loss {summary.heldout_loss:.3f}"
    )
    say(
        f"{count(summary.tokens)} tokens in {duration(summary.seconds)} "
        f"({count(summary.tokens_per_second)} tok/s, packing fill {summary.packing_fill:.2%})"
    )
    say(f"report: {folder / 'report.html'}")
    model = shlex.quote(str(folder / "run" / "model"))
    say(f'try: modernbert fill {model} "import numpy as [MASK]"')
    if summary.search is not None:
        say_found(summary.search, folder)
