"""Files of questions with answers in, rows that a fine-tuning reads out, each with its fold.

Known are SQuAD's own files, tables of `datasets`, and folders in BEIR's layout whose queries carry
SQuAD's answers.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modernbert.base.errors import DataError
from modernbert.data.questions import question_rows
from modernbert.data.table import Row, open_table

NUM_FOLDS = 10


def questions_in(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield `context`, `question`, `answers`, and `fold`: one for all questions about a context.

    Raises:
        DataError: a file is broken, or a query has no text that answers it.
    """
    rows = _judged(path) if path.name == "queries.jsonl" else question_rows(open_table(path))
    for row in rows:
        lacking = {"context", "question", "answers"} - row.values.keys()
        if lacking:
            raise DataError(
                f"{row.where} has no {' and no '.join(sorted(lacking))}: give questions as SQuAD "
                "or the hub has them"
            )
        context = str(row.values["context"])
        yield {
            "context": context,
            "question": row.values["question"],
            "answers": row.values["answers"],
            "fold": int(hashlib.sha256(context.encode()).hexdigest(), 16) % NUM_FOLDS,
        }


def _judged(queries: Path) -> Iterator[Row]:
    """Join the queries of a folder with the text that was judged to answer each."""
    folder = queries.parent
    texts = {
        row.values.get("_id"): row.values.get("text") for row in open_table(folder / "corpus.jsonl")
    }
    judged: dict[Any, Any] = {}
    for path in sorted((folder / "qrels").glob("*.tsv")):
        for row in open_table(path, has_header=True):
            judged.setdefault(row.values.get("query-id"), row.values.get("corpus-id"))
    for row in open_table(queries):
        told = row.values.get("metadata")
        values = {"question": row.values.get("text")}
        if isinstance(told, Mapping) and "answers" in told:
            values["answers"] = told["answers"]
        if judged.get(row.values.get("_id")) in texts:
            values["context"] = texts[judged[row.values.get("_id")]]
        yield Row(values, row.where)
