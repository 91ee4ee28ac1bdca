"""Rows of `modernbert bench efficiency` in, tables and sentences for a page out."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.cells import NOTHING, machine, mebibytes, number, ratio, table
from benchmarks.rows import Row, latest, settings

OURS, PRODUCTS, LOCAL = "modernbert", "matrix products", "local layers"
PADDED = "transformers"
NONE = NOTHING.format("efficiency")
NO_CURVE = NOTHING.format("efficiency --lengths 16 32 64")

RAN = ("model", "documents", "tokens", "precision", "tokens/s here")
MEMORY = "peak MiB above the weights, here / transformers"
FAMILIES = (
    "model",
    "weights",
    "documents",
    "precision",
    "its fastest runtime",
    "tokens/s",
    "ModernBERT here is faster (quartiles)",
    "peak MiB above the weights",
    "joules per 1000 tokens",
    "machine",
)
BY_LENGTH = ("model", "precision", "tokens a document", "documents", "tokens/s here")
BATCHES = ("model", "runtime", "tokens a document", "precision", "documents", "memory", "machine")
PUBLISHED = (
    "size",
    "model",
    "weights",
    "512: largest batch",
    "512 fixed",
    "512 variable",
    "8192: largest batch",
    "8192 fixed",
    "8192 variable",
)


def runtimes_table(rows: Sequence[Row]) -> str:
    """Lay models of this package out: how many times as fast it is as each other runtime."""
    found = [(row, model) for row, model in _own(rows) if row["case"] != "fixed"]
    if not found:
        return NONE
    names = _columns(found)
    head = (*RAN, *names, "of the products' rate", MEMORY, "machine")
    return table(head, (_ran(row, model, names) for row, model in found))


def families_table(rows: Sequence[Row]) -> str:
    """Lay models of several families out, each by its fastest runtime."""
    found: dict[tuple[object, ...], tuple[Row, str]] = {}
    for row in latest(rows):
        if row["case"] != "fixed" and any(name != it["beside"] for name, it in _models(row)):
            found |= {(model, *settings(row)): (row, model) for model, _ in _models(row)}
    by_case = sorted(found.values(), key=lambda each: list(map(str, settings(each[0]))))
    return table(FAMILIES, (_family(row, model) for row, model in by_case)) if by_case else NONE


def curve_table(rows: Sequence[Row]) -> str:
    """Lay speed by length out, a line a length."""
    found = curves(rows)
    if not found:
        return NO_CURVE
    names = _columns(found)
    head = (*BY_LENGTH, *names, "tokens/s of local layers alone", MEMORY, "machine")
    return table(head, (_at_length(row, model, names) for row, model in found))


def curve_words(rows: Sequence[Row]) -> str:
    """Say of every curve how it stands beside a padded grid, and what local layers do alone."""
    return "\n".join(map(_words, by_curve(rows).values())) or NO_CURVE


def pictures(rows: Sequence[Row]) -> str:
    """Show the pictures of speed and memory by length."""
    if not curves(rows):
        return NO_CURVE
    return "\n\n".join(
        f"![{what} by the length of documents](../../benchmarks/{what}-by-length.svg)"
        for what in ("speed", "memory")
    )


def batches_table(rows: Sequence[Row]) -> str:
    """Lay the largest batches out that were found by search."""
    found = [
        (row, model, name)
        for row in latest(rows)
        for model, facts in _models(row)
        for name, told in facts["runtimes"].items()
        if "largest_batch" in told
    ]
    none = NOTHING.format("efficiency --case short-fixed --largest-batch")
    return table(BATCHES, (_batch(*each) for each in found)) if found else none


def published_table(rows: Sequence[Row]) -> str:
    """Lay the paper's own rows out: thousands of tokens a second, and documents in a batch."""
    return table(PUBLISHED, map(_published, rows))


def curves(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Return rows of documents of one length, each with a model of this package."""
    found = ((row, model) for row, model in _own(rows) if row["case"] == "fixed")
    return sorted(
        found, key=lambda each: (each[1], each[0]["precision"], machine(each[0]), each[0]["length"])
    )


def by_curve(rows: Sequence[Row]) -> dict[str, list[tuple[Row, str]]]:
    """Return these by what a curve is of: model, precision and machine."""
    found: dict[str, list[tuple[Row, str]]] = {}
    for row, model in curves(rows):
        name = f"{model}, {row['precision']}, {machine(row)}"
        found.setdefault(name, []).append((row, model))
    return found


def _models(row: Row) -> list[tuple[str, Row]]:
    return list(row["models"].items())


def _own(rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Yield each row with each model that ran here and by others too; 8 bits are apart."""
    for row in (each for each in latest(rows) if each["precision"] != "int8"):
        for model, facts in _models(row):
            if OURS in facts["runtimes"] and len(facts["runtimes"]) > 1:
                yield row, model


def _columns(found: Sequence[tuple[Row, str]]) -> list[str]:
    """Return the other runtimes, in the order in which they come."""
    names = dict.fromkeys(name for row, model in found for name in row["models"][model]["runtimes"])
    return [name for name in names if name not in (OURS, PRODUCTS, LOCAL)]


def _documents(row: Row) -> str:
    kind = f"{row['length']} tokens" if row["case"] == "fixed" else row["case"]
    order = ", as drawn" if row["order"] == "drawn" else ""
    return f"{row['documents']} of {row['texts'] or kind}{order}"


def _ran(row: Row, model: str, names: Sequence[str]) -> tuple[str, ...]:
    facts = row["models"][model]
    found, share = facts["runtimes"], facts["share_of_products_rate"]
    return (
        model,
        _documents(row),
        str(row["tokens"]),
        row["precision"],
        f"{found[OURS]['tokens_per_second']:.0f}",
        *(ratio(found.get(name)) for name in names),
        "-" if share is None else f"{share:.0%}",
        f"{mebibytes(found[OURS])} / {mebibytes(found.get(PADDED))}",
        machine(row),
    )


def _family(row: Row, model: str) -> tuple[str, ...]:
    facts = row["models"][model]
    name, found = _fastest(facts)
    joules = found.get("joules") if found else None
    return (
        model,
        "-" if facts["weights"] is None else f"{facts['weights'] / 1e6:.0f}M",
        _documents(row),
        row["precision"],
        name,
        f"{found['tokens_per_second']:.0f}" if found else "-",
        ratio(found),
        mebibytes(found),
        "-" if joules is None else f"{1e3 * joules / row['tokens']:.1f}",
        machine(row),
    )


def _fastest(facts: Row) -> tuple[str, dict[str, Any] | None]:
    """Return the fastest runtime of a model, ours of this package's."""
    able = {
        name: each
        for name, each in facts["runtimes"].items()
        if "tokens_per_second" in each and name not in (PRODUCTS, LOCAL)
    }
    if OURS in able:
        return OURS, able[OURS]
    name = max(able, key=lambda each: able[each]["tokens_per_second"], default="-")
    return name, able.get(name)


def _at_length(row: Row, model: str, names: Sequence[str]) -> tuple[str, ...]:
    found = row["models"][model]["runtimes"]
    return (
        model,
        row["precision"],
        str(row["length"]),
        str(row["documents"]),
        f"{found[OURS]['tokens_per_second']:.0f}",
        *(ratio(found.get(name)) for name in names),
        number(found.get(LOCAL), "tokens_per_second"),
        f"{mebibytes(found[OURS])} / {mebibytes(found.get(PADDED))}",
        machine(row),
    )


def _words(found: Sequence[tuple[Row, str]]) -> str:
    row, model = found[0]
    beside = _by_length(found, PADDED, "ours_is_faster")
    local = _by_length(found, LOCAL, "tokens_per_second")
    said = [f"- {model}, {row['precision']}, {machine(row)}:"]
    if beside:
        least, most = min(beside, key=beside.__getitem__), max(beside, key=beside.__getitem__)
        said.append(
            f"at least {beside[least]:.2f} times as fast as {PADDED} (documents of {least} "
            f"tokens), at most {beside[most]:.2f} times ({most})."
        )
    if local:
        first, last = min(local), max(local)
        said.append(
            f"Its local layers alone encode {local[first]:.0f} tokens a second in documents of "
            f"{first}, and {local[last]:.0f} in documents of {last}."
        )
    return " ".join(said)


def _by_length(found: Sequence[tuple[Row, str]], name: str, key: str) -> dict[int, float]:
    return {
        row["length"]: row["models"][model]["runtimes"][name][key]
        for row, model in found
        if key in row["models"][model]["runtimes"].get(name, {})
    }


def _batch(row: Row, model: str, name: str) -> tuple[str, ...]:
    told = row["models"][model]["runtimes"][name]["largest_batch"]
    number = str(told["documents"])
    if told["stopped_by"] in ("limit", "time"):
        too_many = told["too_many"]
        number += f" to {too_many - 1}" if too_many else " or more"
    elif told["stopped_by"] == "failure":
        number += ", then it failed"
    return (
        model,
        name,
        str(row["length_quartiles"][1]),
        row["precision"],
        number,
        f"{row['largest_batch_bytes'] / 2**30:.1f} GiB",
        machine(row),
    )


def _published(row: Row) -> tuple[str, ...]:
    cells = ("short_batch", "short_fixed", "short", "long_batch", "long_fixed", "long")
    return (
        row["size"],
        row["model"],
        f"{row['million_weights']}M",
        *("-" if row[name] is None else str(row[name]) for name in cells),
    )
