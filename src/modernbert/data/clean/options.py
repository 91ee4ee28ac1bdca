"""What is dropped, and who does the work, as data; importing it costs nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest, one_of
from modernbert.data.documents import InvalidUtf8

FILTERS = ("gopher-repetition", "gopher-quality", "c4", "fineweb")
"""Names of the filters; documents go through them in the order in which they are given."""
DEDUPS = ("exact", "minhash")
NONE = "none"
"""Stands for no filter, or no search for copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherRepetition:
    """Largest shares that may be repeated (arXiv 2112.11446, table A1); 0 turns one off."""

    lines: float = 0.3
    """Lines that are there already."""
    paragraphs: float = 0.3
    """Paragraphs that are there already."""
    line_characters: float = 0.2
    """Characters in lines that are there already."""
    paragraph_characters: float = 0.2
    """Characters in paragraphs that are there already."""
    top_ngrams: tuple[float, ...] = (0.2, 0.18, 0.16)
    """Characters of the most frequent run of 2, 3, 4 ... words."""
    duplicate_ngrams: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)
    """Characters in repeated runs of 5, 6, 7 ... words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherQuality:
    """Bounds of ordinary prose (arXiv 2112.11446, section A1); 0 turns one off."""

    min_words: int = 50
    """Words of a document, punctuation not counted."""
    max_words: int = 100_000
    """Words of a document; books can have more."""
    min_word_length: float = 3
    """Mean characters of a word; lower it for languages with short words."""
    max_word_length: float = 10
    """Mean characters of a word."""
    max_symbols: float = 0.1
    """Hash signs, or ellipses, for each word."""
    max_bullets: float = 0.9
    """Share of lines that begin with a bullet."""
    max_ellipses: float = 0.3
    """Share of lines that end with an ellipsis."""
    min_alphabetic: float = 0.8
    """Share of words with a letter."""
    min_stop_words: int = 2
    """Different stop words in a document."""
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    """Frequent words of the language; those of English unless you give others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class C4:
    """What C4 did to pages of the web (arXiv 1910.10683); it also removes lines."""

    end_punctuation: bool = True
    """Remove lines that do not end as sentences do; not for text that is wrapped at a width."""
    min_sentences: int = 5
    """Sentences that must be left of a document; 0 turns it off."""
    min_line_words: int = 3
    """Words of a line; shorter ones are removed."""
    max_word_characters: int = 1000
    """Characters of a word; lines with a longer one are removed."""
    curly_brackets: bool = True
    """Drop documents with a curly bracket."""
    lorem_ipsum: bool = True
    """Drop documents with lorem ipsum."""
    javascript: bool = True
    """Remove lines that speak of Javascript."""
    policies: bool = True
    """Remove lines on cookies and terms of use."""
    citations: bool = True
    """Remove marks of citations as an encyclopedia has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineWeb:
    """Bounds that FineWeb found useful on the web (arXiv 2406.17557)."""

    min_ended_lines: float = 0.12
    """Share of lines that end with a mark of punctuation."""
    max_short_lines: float = 0.67
    """Share of lines that are short."""
    short_line: int = 30
    """Characters of a short line."""
    max_repeated_characters: float = 0.01
    """Share of characters in lines that are there already."""
    max_line_breaks: float = 0.3
    """Ends of lines for each word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinHash:
    """When two texts count as nearly the same."""

    ngram: int = 5
    """Words in a row that are compared."""
    buckets: int = 14
    """Times that texts get a chance to meet."""
    hashes: int = 8
    """Hashes that must be equal for two texts to meet; with 14 buckets 8 find most copies that
    share more than about 75% of their runs of words."""
    seed: int = 1
    """Seed of the hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOptions:
    """What is dropped."""

    filters: tuple[str, ...] = ("gopher-repetition", "gopher-quality")
    """Filters for prose, in the order given: gopher-repetition, gopher-quality, c4, fineweb; or
    none."""
    code: tuple[str, ...] = ()
    """Sources of code: neither filters nor languages are for them."""
    language: tuple[str, ...] = ()
    """Languages to keep, such as en de; without it all are kept."""
    language_threshold: float = 0.65
    """Least probability of a language, from 0 to 1."""
    dedup: tuple[str, ...] = ("exact", "minhash")
    """Copies to drop: exact, minhash (near ones), or none; sources named first keep theirs."""
    columns: tuple[str, ...] = ()
    """Columns of evaluation sets that hold their texts; by default all that hold text."""
    ngram: int = 12
    """Words in a row, shared with an example of an evaluation set, for which a text is dropped."""
    samples: int = 5
    """Dropped texts to show for each reason."""
    text_key: str = "text"
    """Key or column that holds the text in .jsonl and .parquet files."""
    invalid_utf8: InvalidUtf8 = "replace"
    """Replace and count bytes that are not UTF-8, or stop at the first."""
    task_bytes: int = 16 << 20
    """Files of a source are handed to a worker together up to this size; a larger file alone."""
    gopher_repetition: GopherRepetition = field(default_factory=GopherRepetition)
    gopher_quality: GopherQuality = field(default_factory=GopherQuality)
    c4: C4 = field(default_factory=C4)
    fineweb: FineWeb = field(default_factory=FineWeb)
    minhash: MinHash = field(default_factory=MinHash)

    def chosen_filters(self) -> tuple[str, ...]:
        """Return the filters without the word for none."""
        return tuple(name for name in self.filters if name != NONE)

    def finds(self, kind: str) -> bool:
        """Return whether a kind of copies is dropped."""
        return kind in self.dedup


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """How jobs are asked for; the rest is as the cluster has it."""

    partition: str = ""
    """Partition of the jobs."""
    time: str = "4:00:00"
    """Time limit of a task."""
    cpus: int = 1
    """Processors of a task."""
    memory_gb: int = 4
    """Memory for each processor."""
    qos: str = ""
    """Quality of service."""
    tasks_per_job: int = 1
    """Tasks that a job does one after the other."""
    environment: str = ""
    """Shell command that makes Python ready in a job; by default the environment in use here."""
    dry_run: bool = False
    """Write the scripts of the jobs and submit none."""
    again: bool = False
    """Submit what is missing of jobs that ended without having done it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Who does the work; what is written does not depend on it."""

    workers: int = 0
    """Tasks done at the same time; 0 takes as many as there are processors."""
    executor: Literal["local", "slurm", "ray"] = "local"
    """Processes here, jobs of a Slurm cluster, or a Ray cluster (that of RAY_ADDRESS, or one that
    is started here)."""
    slurm: Slurm = field(default_factory=Slurm)


def check(options: CleanOptions, run: RunOptions, sources: Collection[str]) -> None:
    """Refuse what cannot be meant.

    Raises:
        ConfigError: a name is unknown, or a number out of range.
    """
    for name in options.filters:
        one_of("a filter", name, (*FILTERS, NONE))
    for name in options.dedup:
        one_of("--dedup", name, (*DEDUPS, NONE))
    for what, given in (("filters", options.filters), ("dedup", options.dedup)):
        if NONE in given and len(given) > 1:
            raise ConfigError(f"--{what} has {NONE} beside others: leave it out, or the others")
    for name in options.code:
        if name not in sources:
            raise ConfigError(f"--code names no source {name!r}: {nearest(name, sources)}")
    _check_numbers(options, run)
    _check_language(options)
    if run.executor == "slurm" and not run.slurm.partition:
        raise ConfigError("--executor slurm needs a partition: name one with --slurm.partition")


def _check_numbers(options: CleanOptions, run: RunOptions) -> None:
    least = {
        "--ngram": (options.ngram, 1),
        "--samples": (options.samples, 0),
        "--task-bytes": (options.task_bytes, 1),
        "--workers": (run.workers, 0),
        "--minhash.ngram": (options.minhash.ngram, 1),
        "--minhash.buckets": (options.minhash.buckets, 1),
        "--minhash.hashes": (options.minhash.hashes, 1),
        "--slurm.tasks-per-job": (run.slurm.tasks_per_job, 1),
    }
    for name, (value, limit) in least.items():
        if value < limit:
            raise ConfigError(f"{name} is {value}: give at least {limit}")


def _check_language(options: CleanOptions) -> None:
    if not 0 <= options.language_threshold <= 1:
        raise ConfigError(
            f"--language-threshold is {options.language_threshold}: give a number from 0 to 1"
        )
    quality = options.gopher_quality
    is_foreign = options.language and "en" not in options.language
    looks = "gopher-quality" in options.filters and quality.min_stop_words
    if is_foreign and looks and quality.stop_words == GopherQuality().stop_words:
        raise ConfigError(
            f"gopher-quality looks for English stop words, and --language keeps "
            f"{' '.join(options.language)}: give --gopher-quality.stop-words, or "
            "--gopher-quality.min-stop-words 0"
        )
