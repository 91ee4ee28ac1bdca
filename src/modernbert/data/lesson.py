"""A folder of passages with a teacher's vectors in, both in memory out (retrieval/distill)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
FEWEST = 40
"""Passages of a lesson: a twentieth is held out, and two are the fewest that have an order."""
DESCRIPTION, TEXTS, VECTORS = "lesson.json", "texts.jsonl", "vectors.npy"


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a small model is to learn from a larger one."""

    teacher: str
    texts: list[str]
    vectors: "NDArray[np.float16]"
    """The teacher's vector of each text [N D], of length 1; memory-mapped."""


def read_lesson(folder: Path) -> Lesson:
    """Open a lesson that was finished.

    Raises:
        DataError: it is not there, of another format, or damaged.
    """
    import numpy as np

    try:
        told = read_json(folder / DESCRIPTION)
        vectors = np.load(folder / VECTORS, mmap_mode="r")
        with (folder / TEXTS).open(encoding="utf-8") as lines:
            texts = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} holds no lesson that can be read ({reason_of(error)}): make it anew with "
            "`modernbert distill`"
        ) from error
    if told.get("format") != FORMAT:
        raise DataError(
            f"{folder} is a lesson of format {told.get('format')}, and {FORMAT} is read here: make "
            "it anew"
        )
    if len(texts) != len(vectors):
        raise DataError(
            f"{folder} has {len(texts)} passages and {len(vectors)} vectors: make it anew"
        )
    return Lesson(str(told["teacher"]), texts, vectors)
