"""One short function a verb; what a verb needs is imported inside it, so that --help is quick."""

import json
import sys
from pathlib import Path
from typing import Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import count, say
from modernbert.cli.arguments import Folder, Model, Paths, Text
from modernbert.cli.grow import GrowOptions
from modernbert.data.manifest import BuildOptions
from modernbert.infer.told import Runtime


def train_tokenizer(
    paths: Paths,
    /,
    *,
    out: Path,
    vocab_size: int = 32_768,
    sample_mb: int = 200,
    text_key: str = "text",
) -> int:
    """Train a byte-level BPE tokenizer on text files, folders, jsonl or parquet.

    Args:
        paths: Text files, folders, .jsonl(.gz, .zst) or .parquet.
        out: Folder for tokenizer.json and its companions.
        vocab_size: Entries, special tokens included; a multiple of 64.
        sample_mb: Megabytes of text to learn from, spread evenly; needs four times that in memory,
            and 70 MB.
        text_key: Key or column that holds the text.
    """
    from modernbert.base.files import promised_folder
    from modernbert.data.documents import read
    from modernbert.data.train_tokenizer import train

    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty: give another folder for the tokenizer")
    documents = read([Path(path) for path in given(paths)], key=text_key)
    texts = (document.text for document in documents)
    with promised_folder(out):
        tokenizer = train(texts, vocab_size, sample_bytes=sample_mb * 1_000_000)
        tokenizer.save(out)
    say(f"a vocabulary of {tokenizer.vocab_size} is in {out}")
    return 0


def prepare(
    paths: Paths,
    /,
    *,
    tokenizer: Path,
    out: Path,
    options: Annotated[BuildOptions, tyro.conf.arg(name="")],
) -> int:
    """Turn text into shards of tokens that training maps into memory.

    A killed run is continued by the same command. A path may be written NAME=PATH: paths of one
    name form one source; otherwise each path is a source of its own.

    Args:
        paths: Text files, folders, .jsonl(.gz, .zst) or .parquet.
        tokenizer: Folder of the tokenizer.
        out: Folder for the corpus.
        options: How texts become shards.
    """
    from modernbert.data.build import build
    from modernbert.data.tokenizer import Tokenizer

    built = build(named(paths), Tokenizer.load(tokenizer), out, options=options, report=say)
    tokens, documents = built.total("tokens", "train"), built.total("documents", "train")
    heldout = built.total("documents", "heldout")
    say(f"{count(tokens)} tokens of {documents:,} documents are in {out}, {heldout:,} held out")
    return 0


def plan_help() -> int:
    """Say what a pretraining run takes: memory, hours, energy, cost."""
    raise AssertionError("`modernbert plan` is parsed by cli.plan")


def pretrain_help() -> int:
    """Train an encoder on a prepared corpus, or continue a run that stopped."""
    raise AssertionError("`modernbert pretrain` is parsed by cli.pretrain")


def finetune_help() -> int:
    """Teach an encoder to label texts, from a file of examples."""
    raise AssertionError("`modernbert finetune` is parsed by cli.finetune")


def train_retriever_help() -> int:
    """Teach an encoder to find or order documents, from pairs of queries and answers."""
    raise AssertionError("`modernbert train-retriever` is parsed by cli.train_retriever")


def fill(
    model: Model,
    text: Text,
    /,
    *,
    top: int = 5,
    as_json: bool = False,
    revision: str | None = None,
    runtime: Runtime = "torch",
) -> int:
    """Guess the [MASK]s of a text.

    Args:
        model: Folder of a model, or a hub id, with @revision or without; a private one takes its
            token from HF_TOKEN.
        text: Text with one [MASK] or more; "-" reads standard input.
        top: Candidates to show.
        as_json: Print JSON: a list of candidates for each [MASK].
        revision: Branch, tag or commit of a model on the hub; the same as @revision.
        runtime: What computes: torch; int8, the same with matrices in 8 bits on a CPU; or a graph
            of a folder that `modernbert export` wrote.
    """
    from modernbert.base.records import to_plain
    from modernbert.infer.fill import fill as guess
    from modernbert.infer.pretrained import load

    opened = load(model, revision=revision, runtime=runtime)
    guesses = guess(opened, sys.stdin.read() if text == "-" else text, top)
    if as_json:
        print(json.dumps(to_plain(guesses), ensure_ascii=False))
        return 0
    for number, candidates in enumerate(guesses, start=1):
        shown = "  ".join(f"{each.token!r} {each.probability:.1%}" for each in candidates)
        print(f"[MASK] {number}: {shown}")
    return 0


def grow(
    source: Model,
    target: Folder,
    /,
    *,
    options: Annotated[GrowOptions, tyro.conf.arg(name="")],
) -> int:
    """Make a larger model out of a trained one, to train on from.

    Matrices are tiled from the middle and layers repeated, as ModernBERT-large began.

    Args:
        source: Folder of a model, or a hub id, with @revision or without.
        target: Folder for the larger model.
        options: Sizes, and how they are reached.
    """
    from modernbert.cli.grow import grow_model

    grow_model(source, target, options)
    return 0


def swap_vocabulary(
    source: Model,
    tokenizer: Folder,
    target: Folder,
    /,
) -> int:
    """Give a trained model another tokenizer; tokens that both have keep their vectors.

    Args:
        source: Folder of a model, or a hub id, with @revision or without.
        tokenizer: Folder of the new tokenizer.
        target: Folder for the model with it.
    """
    from modernbert.cli.swap import swap_tokenizer

    swap_tokenizer(source, tokenizer, target)
    return 0


def doctor(*, as_json: bool = False) -> int:
    """Say what is installed, which device and attention backend are used, and how fast they are.

    Args:
        as_json: Print JSON.
    """
    from modernbert.cli.doctor import examine, spelled

    found = examine()
    print(json.dumps(found, indent=2) if as_json else spelled(found))
    return 0


def demo(*, out: Path = Path("demo"), minutes: float = 7.0) -> int:
    """Train an encoder on the Python code that is installed here, and search that code with it.

    Tokenizer, shards, three phases of pretraining, masks filled in held-out code, a report; then it
    learns to find functions by what they do, and an index of them is left. A second call goes on
    where the first one stopped.

    Args:
        out: Folder for everything the demo makes.
        minutes: Time to aim for, on this machine.
    """
    from modernbert.cli.demo import run_demo

    return run_demo(out, minutes)


def evaluate_help() -> int:
    """Measure how well a model learns labelled sets, or searches judged ones."""
    raise AssertionError("`modernbert evaluate` is parsed by cli.evaluate")


def bench_help() -> int:
    """Measure this package beside others: training steps, encoding."""
    raise AssertionError("`modernbert bench` is parsed by cli.bench")


def serve_help() -> int:
    """Answer requests over HTTP: OpenAI's, TEI's, Cohere's, and those of every head."""
    raise AssertionError("`modernbert serve` is parsed by cli.serve")


def named(paths: tuple[str, ...]) -> dict[str, list[Path]]:
    """Return paths by the names they are given, or that their files and folders have."""
    sources: dict[str, list[Path]] = {}
    for each in given(paths):
        name, _, path = each.partition("=")
        if not path or "/" in name:  # an "=" further on is part of the path
            path = each
            name = Path(path).name.split(".")[0] or Path(path).resolve().name
            if name in sources:
                raise ConfigError(
                    f"two sources would be called {name!r}: write one of them as NAME={path}"
                )
        sources.setdefault(name, []).append(Path(path))
    return sources


def given(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an empty path, as an unset variable of the shell gives it."""
    if "" in paths:
        raise ConfigError("one of the paths is empty: write . for this folder")
    return paths
