"""What a model reached in a suite in, a page that stands alone out, and lines for a terminal."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from modernbert.base.log import count, duration
from modernbert.evals.page import table, whole
from modernbert.evals.published import PUBLISHED
from modernbert.evals.results import UNASKED, Results, Score, TaskResult
from modernbert.evals.suite import Suite
from modernbert.evals.text_table import text_table
from modernbert.train.variants import Setting

_MISSING = "missing"


def scorecard(suite: Suite, results: Results, made_with: Mapping[str, Any]) -> str:
    """Return the page's HTML."""
    host = made_with["machine"]
    facts = {
        "model": results.model,
        "settings": results.profile,
        "machine": f"{host['processor']}, {host['cores']} cores",
        "versions": ", ".join(f"{k} {v}" for k, v in made_with["versions"].items()),
        "command": " ".join(made_with["command"]),
    }
    body = [
        f"<h1>{escape(results.model)} on {escape(suite.name)}</h1>",
        _soft(results.notes),
        f"<p><strong>{escape(_average(results))}</strong></p>",
        "<h2>Scores</h2>",
        table(*_scores(suite, results)),
        _soft(_remarks(suite, results)),
        "<h2>Quality, speed and memory</h2>",
        table(_lines(results, escape), _HEAD),
        _soft(_MEANINGS),
        "<h2>Runs</h2>",
        table(_runs(results), ("task", "seed", "score", "measures", "best epoch", "time")),
        "<h2>What this was made with</h2>",
        table([(escape(key), escape(value)) for key, value in facts.items()]),
    ]
    return whole(f"{results.model} on {suite.name}", body)


def lines_of(results: Results) -> str:
    """Return the same as lines of text."""
    failed = [
        f"{each.task}: {score.by} failed: {reason}"
        for each in results.tasks
        for score in _of(each)
        for reason in score.failures
    ]
    lines = [text_table(_lines(results, str), _HEAD), *_absent(results), *failed, _average(results)]
    return "\n".join(lines)


_HEAD = (
    "task",
    "by",
    "score",
    "measures",
    "settings",
    "started from",
    "rows",
    "tokens/s",
    "memory",
    "time",
)
_MEANINGS = (
    "Tokens/s are those of training, evaluations left out; memory is the most that the process (on "
    "a GPU: the device) held; time is of all runs with the chosen settings together. The interval "
    "after ± holds the mean of all seeds with 95% confidence (Student's t).",
)


def _average(results: Results) -> str:
    if results.average is None:
        return results.averaged
    return f"{results.averaged}: {results.average:.1f}"


def _of(task: TaskResult) -> list[Score]:
    return [*([task.score] if task.score else []), *task.others]


def _scores(suite: Suite, results: Results) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the table whose columns are the tasks: the model, baselines, and published models."""
    names = [task.name for task in suite.tasks]
    found: dict[str, dict[str, str]] = {}
    for each in results.tasks:
        for score in _of(each):
            found.setdefault(score.by, {})[each.task] = score.spelled
    lines = [
        (_bold(by), *(_cell(cells.get(name, ""), results, name) for name in names), "measured")
        for by, cells in found.items()
    ]
    for row in PUBLISHED.get(suite.name, ()):
        mark = f"published [{_sources(suite).index(row.source) + 1}]"
        cells = (escape(row.model), *(f"{score:.1f}" for score in row.scores), mark)
        lines.append(tuple(f'<span class="soft">{cell}</span>' for cell in cells))
    return lines, ("", *map(escape, names), "")


def _sources(suite: Suite) -> list[str]:
    """Return each source once, in the order in which it is first named."""
    return [*dict.fromkeys(row.source for row in PUBLISHED.get(suite.name, ()))]


def _cell(shown: str, results: Results, name: str) -> str:
    (why,) = [each.missing for each in results.tasks if each.task == name]
    if not why:
        return escape(shown)
    return f'<span class="soft">{"not asked for" if why == UNASKED else _MISSING}</span>'


def _bold(by: str) -> str:
    return f"<strong>{escape(by)}</strong>" if by == "the model" else escape(by)


def _remarks(suite: Suite, results: Results) -> list[str]:
    absent = [f"{reason}." for reason in _absent(results)]
    if suite.name not in PUBLISHED:
        return absent
    sources = [f"[{n}] {source}." for n, source in enumerate(_sources(suite), start=1)]
    return [
        *absent,
        "Published rows are as their sources give them, of the whole sets; they may give one of "
        "two measures where the score here is a mean of both.",
        *sources,
    ]


def _absent(results: Results) -> list[str]:
    return [
        f"{each.task} is missing: {each.missing}"
        for each in results.tasks
        if each.missing and each.missing != UNASKED
    ]


def _lines(results: Results, spelled: Any) -> list[tuple[str, ...]]:
    lines = []
    for each in results.tasks:
        if each.missing and each.missing != UNASKED:
            lines.append((spelled(each.task), "", _MISSING, *("" for _ in _HEAD[3:])))
        for score in _of(each):
            cells = (each.task, score.by, score.spelled, _measures(score), *_costs(each, score))
            lines.append(tuple(spelled(cell) for cell in cells))
    return lines


def _costs(task: TaskResult, score: Score) -> tuple[str, ...]:
    if score is not task.score:
        own = TaskResult(task.task, score=score)
        return ("", "", "", *_speed(own))
    settings = (task.settings or {}).items()
    tried = f" (best of {task.num_tried})" if task.num_tried > 1 else ""
    return (
        " ".join(str(Setting(name, value)) for name, value in settings) + tried,
        task.started_from,
        " / ".join(f"{rows:,} {part}" for part, rows in (task.rows or {}).items()),
        *_speed(task),
    )


def _speed(task: TaskResult) -> tuple[str, str, str]:
    runs = task.score.runs if task.score else ()
    if not runs:
        return "", "", ""
    seconds = sum(run.seconds for run in runs)
    memory = f"{task.peak_bytes / 1e9:.1f} GB"
    return count(task.tokens_per_second), memory, duration(seconds)


def _measures(score: Score) -> str:
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in score.measures.items())


def _runs(results: Results) -> list[tuple[str, ...]]:
    return [
        (
            escape(f"{each.task}: {score.by}"),
            str(run.seed),
            f"{run.score:.1f}",
            escape(", ".join(f"{name} {100 * v:.1f}" for name, v in run.measures.items())),
            f"{run.epoch:.2f}",
            duration(run.seconds),
        )
        for each in results.tasks
        for score in _of(each)
        for run in score.runs
    ]


def _soft(sentences: Sequence[str]) -> str:
    return f'<p class="soft">{escape(" ".join(sentences))}</p>' if sentences else ""
