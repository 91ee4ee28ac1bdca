"""What servers did round by round in, the facts of a row and a table for a person out."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from modernbert.base.markdown import table
from modernbert.bench.measure import ratio
from modernbert.bench.runtimes import OURS
from modernbert.bench.serving_case import KINDS
from modernbert.bench.serving_contest import Turn
from modernbert.bench.serving_figures import ALL, P50, P95, Figures, best_of, fastest, middle

Row = dict[str, Any]
Turns = Mapping[str, Sequence[Turn]]
_HEAD = ("server", "clients", "texts/s", "tokens/s", "ours is faster (quartiles)")
_SHORT = (
    "queries beside documents",
    "idle, p50 / p95 / p99 ms",
    "beside, p50 / p95 / p99 ms",
    "p95 / idle p95",
    "p95 / idle p50",
    "documents, p50 / p95 / p99 ms",
)


def facts_of(turns: Turns, failures: Mapping[str, str]) -> Row:
    """Return the medians of every side, what bound the best peer sets, and who is best within.

    The best peer is the one with most tokens a second at any number of clients; the bound is the
    p95 of all its requests there.
    """
    points = {name: _points(some) for name, some in turns.items()}
    best = best_of({name: some for name, some in points.items() if name != OURS})
    bound = float("inf") if best is None else points[best[0]][best[1]].latency_ms[ALL][P95]
    chosen = {name: fastest(some, bound) for name, some in points.items()}
    sides: dict[str, Row] = {
        name: {
            "points": {str(number): _point(turns, name, number) for number in points[name]},
            "within_bound": _within(turns, name, chosen),
            "short": _short(turns[name]),
        }
        for name in turns
    }
    sides |= {name: {"failed": reason} for name, reason in failures.items()}
    return {
        "best_peer": None if best is None else best[0],
        "bound_ms": None if best is None else round(bound, 1),
        "sides": sides,
    }


def report(row: Row) -> str:
    """Lay a row out as tables: all points, then the best within the bound, then short requests."""
    able = {name: side for name, side in row["sides"].items() if "failed" not in side}
    lines = [
        (name, number, *_speeds(point), *_all_kinds(point), str(point["errors"]))
        for name, side in able.items()
        for number, point in side["points"].items()
    ]
    head = [f"{kind}, p50 / p95 / p99 ms" for kind in (ALL, *KINDS)]
    parts = [table([*_HEAD, *head, "errors"], lines)]
    if row["best_peer"] is not None:
        parts += [
            f"Most within a p95 of {row['bound_ms']:g} ms, that of {row['best_peer']}:",
            table(_HEAD, [_best(name, side["within_bound"]) for name, side in able.items()]),
        ]
    parts.append(table(_SHORT, [_beside(name, side["short"]) for name, side in able.items()]))
    return "\n\n".join(parts)


def _all_kinds(point: Row) -> list[str]:
    return [_spelled(point, kind) for kind in (ALL, *KINDS)]


def _best(name: str, found: Row | None) -> tuple[str, ...]:
    return (name, *"----") if found is None else (name, str(found["clients"]), *_speeds(found))


def _beside(name: str, found: Row) -> tuple[str, ...]:
    ratios = (found.get(key) for key in ("p95_over_idle_p95", "p95_over_idle_p50"))
    return (
        name,
        _spelled(found["idle"], "query"),
        _spelled(found["beside"], "query"),
        *("-" if each is None else f"{each:.2f}" for each in ratios),
        _spelled(found["beside"], "document"),
    )


def _speeds(found: Row) -> tuple[str, str, str]:
    """Spell texts and tokens a second, and how much faster ours is."""
    faster = "-"
    if "ours_is_faster" in found:
        low, high = found["quartiles"]
        faster = f"{found['ours_is_faster']:.2f} ({low:.2f} to {high:.2f})"
    return f"{found['texts_per_second']:.1f}", f"{found['tokens_per_second']:.0f}", faster


def _spelled(found: Row, kind: str) -> str:
    told = found["latency_ms"].get(kind)
    return "-" if told is None else " / ".join(f"{each:.3g}" for each in told)


def _points(turns: Sequence[Turn]) -> dict[int, Figures]:
    return {number: middle([turn.points[number] for turn in turns]) for number in turns[0].points}


def _point(turns: Turns, name: str, number: int) -> Row:
    found = middle([turn.points[number] for turn in turns[name]])
    return {**_plain(found), **_ratio(turns, (name, number), (OURS, number))}


def _within(turns: Turns, name: str, chosen: Mapping[str, int | None]) -> Row | None:
    """Say how fast a side is at its best point, and how much faster ours is at its own."""
    number, ours = chosen[name], chosen[OURS]
    if number is None:
        return None
    found = middle([turn.points[number] for turn in turns[name]])
    speeds = {"clients": number, "tokens_per_second": round(found.tokens_per_second, 1)}
    speeds["texts_per_second"] = round(found.texts_per_second, 2)
    return speeds | ({} if ours is None else _ratio(turns, (name, number), (OURS, ours)))


def _ratio(turns: Turns, theirs: tuple[str, int], ours: tuple[str, int]) -> Row:
    """Divide tokens a second, ours by theirs, round by round."""
    speeds = [
        [turn.points[number].tokens_per_second for turn in turns[name]]
        for name, number in (ours, theirs)
    ]
    if not all(map(all, speeds)):
        return {}
    found = ratio(*speeds)
    quartiles = [round(found.low, 3), round(found.high, 3)]
    return {"ours_is_faster": round(found.middle, 3), "quartiles": quartiles}


def _short(turns: Sequence[Turn]) -> Row:
    """Say how long queries take by themselves and beside documents; the median of each ratio."""
    idle, beside = middle([each.idle for each in turns]), middle([each.beside for each in turns])
    pairs = [
        (each.beside.latency_ms["query"][P95], each.idle.latency_ms["query"])
        for each in turns
        if "query" in each.beside.latency_ms and "query" in each.idle.latency_ms
    ]
    found: Row = {"idle": _plain(idle), "beside": _plain(beside)}
    if pairs:
        found["p95_over_idle_p95"] = round(median(p95 / alone[P95] for p95, alone in pairs), 3)
        found["p95_over_idle_p50"] = round(median(p95 / alone[P50] for p95, alone in pairs), 3)
    return found


def _plain(found: Figures) -> Row:
    return {
        "texts_per_second": round(found.texts_per_second, 2),
        "tokens_per_second": round(found.tokens_per_second, 1),
        "latency_ms": {
            kind: [round(each, 2) for each in told] for kind, told in found.latency_ms.items()
        },
        "requests": found.requests,
        "errors": found.errors,
        "client_cpu_share": round(found.cpu_share, 3),
    }
