"""`modernbert inspect`: a model in, what it is and what opens it out, for a person or a program."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import tyro

from modernbert.base.log import count
from modernbert.cli.arguments import Model

if TYPE_CHECKING:
    from modernbert.infer.facts import Facts, TokenizerFacts
    from modernbert.model.config import EncoderConfig

_LABELS_SHOWN = 8
_VERDICTS = {"yes": ("yes", "green"), "wrong": ("reads it wrong", "red"), "no": ("no", "yellow")}


def inspect(
    model: Model,
    /,
    *,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Say what a model is and what opens it, without reading its weights.

    Args:
        model: Folder, hub id (with @revision or without), or checkpoint file of the reference
            repository (Composer) or torch.
        as_json: Print JSON, for a program.
    """
    from modernbert.base.records import to_plain
    from modernbert.infer.facts import facts_of

    found = facts_of(model)
    if as_json:
        print(json.dumps(to_plain(found), indent=2, ensure_ascii=False))
    else:
        _show(found)
    return 0


def _show(found: "Facts") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(found):
        table.add_row(name, Text(value))
    console = Console(highlight=False)
    console.print(table)
    console.print("\nwhat opens it", style="bold")
    if len(reasons := {each.why for each in found.opens}) == 1 and "" not in reasons:
        word = "rightly" if found.fault else "yet"
        console.print(Text(f"nothing {word}, {reasons.pop()}"))
        return
    for each in found.opens:
        word, color = _VERDICTS[each.verdict]
        line = Text(f"{each.tool}: ").append(word, style=color)
        console.print(line.append(f", {each.why}" if each.why else ""))


def _rows(found: "Facts") -> Iterator[tuple[str, str]]:
    yield "model", found.source
    yield "form", found.form
    total = sum(found.parameters.values())
    yield "parameters", f"{count(total)} ({total:,})"
    for part, number in found.parameters.items():
        yield f"  {part}", f"{number:,}"
    yield "on disk", f"{found.size_bytes / 1e6:,.1f} MB, {' and '.join(found.dtypes)}"
    if found.config is None:
        yield "shape", f"not known: {found.unsaid}"
    else:
        yield from _shape(found.config, found.layers)
        yield "head", _head(found)
    if found.pooling:
        yield "pooling", found.pooling
    if found.modules:
        yield "modules", ", ".join(each.rsplit(".", 1)[-1] for each in found.modules)
    if found.config is not None or found.tokenizer is not None:
        yield "tokenizer", _tokenizer(found.tokenizer)


def _shape(config: "EncoderConfig", layers: str) -> Iterator[tuple[str, str]]:
    yield "width", f"{config.dim}, {config.num_heads} heads of {config.head_dim}"
    gate = "2 x " if config.gated_mlp else ""
    yield "mlp", f"{gate}{config.mlp_dim}, {config.activation}{'' if gate else ', no gate'}"
    yield "layers", layers
    yield "window", f"{config.local_window // 2} tokens to each side in local layers"
    if config.norm == "rms" or config.qk_norm:
        inside = ", and of queries and keys" if config.qk_norm else ""
        yield "norm", f"{'RMSNorm' if config.norm == 'rms' else 'layer norm'}{inside}"
    if config.position == "learned":
        yield "positions", f"{config.num_positions}, learned"
    thetas = f"{config.global_rope_theta:g} global, {config.local_rope_theta:g} local"
    yield "rope theta", thetas
    longest = f"{config.max_length} tokens" if config.max_length else "not said"
    yield "longest text", longest


def _head(found: "Facts") -> str:
    head = found.head
    if head is None and found.named not in ("", "ModernBertModel"):
        return f"none, though config.json names {found.named}"
    if head is None:
        return "none"
    if not head.labels:
        return head.kind
    shown = ", ".join(head.labels[:_LABELS_SHOWN])
    more = ", ..." if len(head.labels) > _LABELS_SHOWN else ""
    return f"{head.kind}, {len(head.labels)} labels ({shown}{more}), {head.problem}"


def _tokenizer(tokenizer: "TokenizerFacts | None") -> str:
    if tokenizer is None:
        return "none that can be read"
    special = ", ".join(f"{role} {number}" for role, number in tokenizer.special_ids.items())
    return f"{tokenizer.kind}, {tokenizer.num_ids:,} ids ({special})"
