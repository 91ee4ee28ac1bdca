"""A report of cleaned text in, one self-contained HTML page out: what was dropped, and why."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from modernbert.base.files import whole_file
from modernbert.data.clean.report import Reason, Report, SourceReport
from modernbert.evals.page import table, whole


def write_page(target: Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        MachineError: it cannot be written.
    """
    with whole_file(target) as aside:
        aside.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """Return the page's HTML."""
    body = ["<h1>Cleaned text</h1>", _summary(report)]
    if report.evaluations:
        body += ["<h2>Evaluation sets</h2>", _evaluations(report)]
    for source in report.sources:
        body += _source(source)
    return whole("Cleaned text", body)


def _summary(report: Report) -> str:
    rows = [
        [
            f'<a href="#{escape(source.name)}">{escape(source.name)}</a>',
            f"{source.documents:,}",
            _share(source.kept_documents, source.documents),
            f"{source.characters:,}",
            _share(source.kept_characters, source.characters),
        ]
        for source in report.sources
    ]
    return table(rows, ("source", "documents", "kept", "characters", "kept"))


def _share(part: int, total: int) -> str:
    return f"{part:,} ({part / total:.1%})" if total else f"{part:,}"


def _evaluations(report: Report) -> str:
    rows = [
        [
            escape(each.name),
            *(f"{number:,}" for number in (each.texts, each.too_short)),
            *(f"{number:,}" for number in (each.found_examples, each.dropped_documents)),
        ]
        for each in report.evaluations
    ]
    head = ("set", "texts", "too short to be found", "texts found", "documents dropped")
    return table(rows, head)


def _source(source: SourceReport) -> Iterator[str]:
    kind = " (code)" if source.is_code else ""
    yield f'<h2 id="{escape(source.name)}">{escape(source.name)}{kind}</h2>'
    rows = [
        [
            escape(step.name),
            f"{step.documents:,}",
            f"{step.dropped_documents:,}",
            f"{step.characters:,}",
            f"{step.dropped_characters:,}",
            f"{step.cut_characters:,}",
        ]
        for step in source.steps
    ]
    yield table(rows, ("step", "documents", "dropped", "characters", "dropped", "cut out"))
    if source.repaired:
        yield f"<p>Documents repaired with U+FFFD: {source.repaired:,}.</p>"
    if source.skipped_files:
        yield f"<p>Binary files passed over: {source.skipped_files:,}.</p>"
    for step in source.steps:
        for reason in step.reasons:
            yield _reason(step.name, reason)


def _reason(step: str, reason: Reason) -> str:
    said = escape(f"{step}, {reason.reason}: {reason.documents:,} documents")
    samples = "".join(
        f'<p class="soft">{escape(each.document)}{escape(each.note and f" ({each.note})")}</p>'
        f"<pre>{escape(each.text)}</pre>"
        for each in reason.samples
    )
    return f"<details><summary>{said}</summary>{samples}</details>"
