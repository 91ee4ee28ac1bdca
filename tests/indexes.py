"""Small models of each kind of vectors, and indexes made with them."""

import functools
from collections.abc import Sequence
from pathlib import Path

from modernbert.data.entries import Entry
from modernbert.model.config import MASKED_LM
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig, Splade
from modernbert.retrieval.index import Index
from modernbert.retrieval.options import IndexOptions
from tests.corpora import texts
from tests.sentence_folders import made

KINDS = {
    "dense": {},
    "sparse": {"steps": (Splade(),), "similarity": "dot"},
    "late": {
        "steps": (Normalize(),),
        "similarity": "maxsim",
        "late": LateInteraction(form="MultiVectorEncoder"),
    },
}


def write_model(folder: Path, kind: str = "dense", **fields) -> str:
    """Write a folder of a model that gives this kind of vectors, and return its name."""
    model = made(MASKED_LM, **fields)
    model.sentence = Sentence(SentenceConfig(max_length=64, **KINDS[kind]))
    model.save(folder)
    return str(folder)


def entries(count: int, seed: int = 3, longest: int = 40) -> list[Entry]:
    """Documents with titles and metadata, no two alike."""
    return [
        Entry(f"d{number}", text, f"title {number}", {"year": 2000 + number, "odd": number % 2})
        for number, text in enumerate(texts(count, seed, longest))
    ]


@functools.cache
def queries(count: int = 4) -> tuple[str, ...]:
    return tuple(texts(count, 5, 10))


def make_index(folder: Path, kind: str, documents: Sequence[Entry], **options) -> Index:
    """Write a model and an index of it below a folder."""
    model = write_model(folder / "model", kind)
    return Index.create(folder / "index", model, documents, IndexOptions(**options))
