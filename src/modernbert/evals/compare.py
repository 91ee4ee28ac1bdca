"""Two evaluations of retrieval in, which of the two finds more and whether by chance out."""

import json
from dataclasses import dataclass
from pathlib import Path

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import read_json
from modernbert.evals.judging import Measured, chance, means
from modernbert.evals.text_table import text_table
from modernbert.train.checkpoint import FORMAT


@dataclass(frozen=True, slots=True)
class Difference:
    """How two systems did on the same queries."""

    set: str
    measure: str
    one: float
    other: float
    chance: float
    """How likely so large a difference is where both are equally good."""


def compare(one: Path, other: Path, system: str) -> list[Difference]:
    """Compare what two folders of `evaluate retrieval` say of the sets that both hold.

    Raises:
        ConfigError: there is no such system, or the two did not search the same texts for the same
            queries.
        DataError: a folder holds no such evaluation.
    """
    ours, theirs = _sets(one), _sets(other)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise ConfigError(
            f"{one} has {', '.join(ours)}, {other} {', '.join(theirs)}: no set is in both"
        )
    found = []
    for name in shared:
        _check_same(one / name, other / name, ours[name], theirs[name])
        first, second = (_measured(folder / name, system) for folder in (one, other))
        if first.keys() != second.keys():
            raise ConfigError(
                f"{one / name} and {other / name} are of other queries: evaluate again"
            )
        before, after = means(first), means(second)
        found += [
            Difference(name, each, before[each], after[each], chance(first, second, each))
            for each in before
            if each in after
        ]
    return found


def lines_of(found: list[Difference]) -> str:
    """Lay differences out, a line for each measure of each set."""
    lines = [
        (
            each.set,
            each.measure,
            f"{each.one:.4f}",
            f"{each.other:.4f}",
            f"{each.other - each.one:+.4f}",
            f"{each.chance:.4f}",
        )
        for each in found
    ]
    return text_table(lines, ("set", "measure", "first", "second", "difference", "p"))


def _check_same(one: Path, other: Path, ours: str, theirs: str) -> None:
    # Older results have no fingerprint.
    if ours and theirs and ours != theirs:
        raise ConfigError(
            f"{one} and {other} are of other texts or judgements ({ours}, {theirs}): "
            "evaluate both on the same set"
        )


def _sets(folder: Path) -> dict[str, str]:
    """Return the fingerprint of each set, by its name."""
    try:
        told = read_json(folder / "results.json")
        if told["format"] != FORMAT:
            raise ValueError
        return {each["name"]: each.get("fingerprint", "") for each in told["sets"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{folder} holds no evaluation of retrieval: give a folder that `modernbert evaluate "
            "retrieval` wrote"
        ) from None


def _measured(folder: Path, system: str) -> Measured:
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    if rows and system not in rows[0]:
        known = ", ".join(name for name in rows[0] if name != "query")
        raise ConfigError(f"{folder} has no system {system!r}: it has {known}")
    return {row["query"]: row[system] for row in rows}
