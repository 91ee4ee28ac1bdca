"""What came of the runs of a sweep in, groups that differ in more than the seed out, best first."""

from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.evals.interval import Estimate, estimate
from modernbert.train.summary import Summary
from modernbert.train.variants import Setting, Variant


@dataclass(frozen=True, slots=True)
class Outcome:
    """A combination of settings, and what came of it."""

    variant: Variant
    summary: Summary | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Outcomes of the same settings, a seed each."""

    settings: tuple[Setting, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def summaries(self) -> list[Summary]:
        """What the runs that did not fail say."""
        return [outcome.summary for outcome in self.outcomes if outcome.summary is not None]

    @property
    def is_whole(self) -> bool:
        """Return whether no run failed."""
        return len(self.summaries) == len(self.outcomes)

    @property
    def decisive(self) -> Estimate | None:
        """The measure that ranks, on dev; None where every run failed."""
        found = [summary.dev[summary.decisive] for summary in self.summaries]
        return estimate(found) if found else None

    @property
    def best(self) -> Outcome | None:
        """The best run of all seeds, on dev."""
        done = [outcome for outcome in self.outcomes if outcome.summary is not None]
        return max(done, key=_value, default=None)


def ranked(outcomes: Sequence[Outcome]) -> list[Group]:
    """Group what differs in the seed alone, and put the best mean first.

    Groups in which a run failed come behind those in which none did: their mean is of the lucky.
    """
    found: dict[tuple[Setting, ...], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.variant.without_seed, []).append(outcome)
    groups = [Group(settings, tuple(same)) for settings, same in found.items()]
    return sorted(groups, key=_place)


def _place(group: Group) -> tuple[bool, bool, float]:
    measured = group.decisive
    return measured is None, not group.is_whole, -(measured.mean if measured else 0.0)


def _value(outcome: Outcome) -> float:
    assert outcome.summary is not None
    return outcome.summary.dev[outcome.summary.decisive]
