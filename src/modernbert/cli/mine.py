"""`modernbert mine MODEL`: pairs in, the same pairs with hard negatives and scores out."""

from pathlib import Path
from typing import Annotated

import tyro

from modernbert.base.log import say
from modernbert.cli.arguments import Model
from modernbert.retrieval.mine_options import MineOptions


def mine(
    model: Model,
    /,
    *,
    pairs: Path,
    out: Path,
    options: Annotated[MineOptions, tyro.conf.arg(name="")],
) -> int:
    """Give pairs of queries and documents hard negatives: what a model takes for an answer.

    The file that is written is what `modernbert train-retriever` reads.

    Args:
        model: Folder of a model that gives vectors, or a hub id, with @revision or without.
        pairs: File or folder of queries and what answers them, or a folder in BEIR's layout.
        out: File .jsonl for the pairs with negative_1, negative_2, ... and maybe scores.
        options: What is taken for a negative.
    """
    from modernbert.retrieval.mine import mine as run

    mined = run(model, pairs, out, options)
    for reason, many in mined.passed_over.items():
        say(f"passed over: {many:,} candidates, {reason}")
    if mined.left_out:
        say(
            f"left out: {mined.left_out:,} pairs with fewer than {options.number} negatives among "
            f"{options.candidates} candidates: --candidates looks at more"
        )
    say(f"{mined.pairs:,} pairs with {options.number} negatives each are in {out}")
    return 0
