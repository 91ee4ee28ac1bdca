"""`modernbert evaluate SUITE MODEL`: a model in, how well it learns a suite's tasks out."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernbert.base.log import say
from modernbert.evals.options import EvaluateOptions

_INTERRUPTED = 130


def evaluate(
    suite: Annotated[Literal["glue", "labels"], tyro.conf.Positional],
    model: Annotated[str, tyro.conf.Positional],
    /,
    *,
    out: Path,
    data: Path | None = None,
    options: Annotated[EvaluateOptions, tyro.conf.arg(name="")],
    as_json: bool = False,
) -> int:
    """Fine-tune a model on each task of a suite, and write a scorecard.

    The same command again goes on where it was, and repeats nothing that is finished.

    Args:
        suite: glue (eight tasks) or labels (AG-News, movie reviews, NCBI-disease, GUM, CoNLL-2000,
            XQuAD).
        model: Folder of a model, or a hub id, with @revision or without.
        out: Folder for results.json, scorecard.html and all runs.
        data: Folder with a folder for each task; GLUE is taken from the hub without it.
        options: How the tasks are learned.
        as_json: Print results.json instead of a table.
    """
    from modernbert.evals.evaluate import evaluate as measure
    from modernbert.evals.scorecard import lines_of

    results = measure(suite, model, data, out, options)
    if results is None:
        say(f"go on with the same command; {shlex.quote(str(out))} holds what is finished")
        return _INTERRUPTED
    if as_json:
        print(json.dumps(json.loads((out / "results.json").read_text("utf-8")), indent=2))
    else:
        print(lines_of(results))
    say(f"the scorecard is in {out / 'scorecard.html'}, every number in {out / 'results.json'}")
    return 0
