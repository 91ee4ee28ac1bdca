"""A model of this package in, a model of mteb out: one that searches, and one that encodes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.errors import ConfigError, MachineError
from modernbert.data.judged import JudgedSet
from modernbert.evals.judging import by_id
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.searching import Found, Searcher, find, say_what
from modernbert.infer.pretrained import Pretrained

_SIDES = {"query": ("query",), "document": ("document", "passage", "corpus")}

Scores = Mapping[str, Mapping[str, float]]


def check_mteb() -> Any:
    """Return the package that has the sets.

    Raises:
        MachineError: it is missing.
    """
    try:
        import mteb
    except ImportError as error:
        raise MachineError(
            "sets by name come through mteb: pip install 'modernbert[mteb]'"
        ) from error
    return mteb


@final
class Search:
    """A model that searches a set whole, as mteb's SearchProtocol wants it."""

    def __init__(
        self,
        by: Searcher,
        options: RetrievalOptions,
        name: str,
        judged: Mapping[str, Mapping[str, int]],
    ) -> None:
        """Take the judgements, by which distractors are drawn."""
        self.mteb_model_meta = _meta(by.model)
        self._by, self._options, self._judged = by, options, judged
        self.given = JudgedSet(name, {}, {}, {}, ())
        self.found: Found | None = None

    def index(self, corpus: Any, *, task_metadata: Any, **_: Any) -> None:
        """Keep the texts: they are encoded once the queries are known."""
        texts = _texts(corpus, task_metadata, "document")
        notes = []
        if len(texts) < len(corpus):
            notes = [f"documents with the id of another, left out: {len(corpus) - len(texts)}"]
        self.given = replace(self.given, documents=texts, notes=tuple(notes))

    def search(self, queries: Any, *, task_metadata: Any, top_k: int, **others: Any) -> Scores:
        """Return the scores of the best documents of each query, by their ids.

        Raises:
            ConfigError: the task names the documents that are to be ordered.
        """
        if others.get("top_ranked"):
            raise ConfigError(
                f"{task_metadata.name} is of mteb's type {task_metadata.type}: sets that are "
                "searched are of type Retrieval, and of text"
            )
        asked = _texts(queries, task_metadata, "query")
        judged = {query: dict(self._judged[query]) for query in asked}
        self.given = replace(self.given, queries=asked, judged=judged)
        say_what(self.given)
        options = replace(self._options, number=max(top_k, self._options.number))
        self.found = find(self._by, self.given, options)
        return by_id(self.found.runs[self.found.reference], list(asked), list(self.given.documents))


@final
class Encoder:
    """A model of one vector a text for any task of mteb, as its EncoderProtocol wants it.

    `mteb.evaluate(Encoder(modernbert.load(MODEL)), mteb.get_tasks([NAME, ...]))`.
    """

    def __init__(self, model: Pretrained) -> None:
        """Take a model as it is, on the device where it is."""
        self.mteb_model_meta = _meta(model)
        self._model = model

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **_: Any
    ) -> NDArray[np.float32]:
        """Return one vector a text, behind the prompt that the folder has for this task or side.

        A prompt is looked for as `NAME-SIDE`, `NAME`, `TYPE-SIDE`, `TYPE` and by its side, as in
        mteb; else the folder's default is taken.

        Raises:
            ConfigError: the model gives a vector a token.
            DataError: a text holds what is no character.
        """
        side = "" if prompt_type is None else str(prompt_type.value)
        known = self._model.sentence.config.prompts
        of_task = [task_metadata.name, task_metadata.type]
        names = [name for each in of_task for name in (f"{each}-{side}", each)]
        names += _SIDES.get(side, ())
        prompt = next((name for name in names if name in known), None)
        texts = [text for batch in inputs for text in batch["text"]]
        return self._model.embed(texts, prompt).cpu().numpy()

    def similarity(self, one: Any, other: Any) -> Tensor:
        """Return how alike each vector is to each of the others."""
        first, second = self._compared(one), self._compared(other)
        return first @ second.T

    def similarity_pairwise(self, one: Any, other: Any) -> Tensor:
        """Return how alike the vectors of each pair are."""
        return (self._compared(one) * self._compared(other)).sum(-1)

    def _compared(self, vectors: Any) -> Tensor:
        similarity = self._model.sentence.config.similarity
        found = torch.atleast_2d(torch.as_tensor(vectors, dtype=torch.float32))
        return found if similarity == "dot" else F.normalize(found, dim=-1)


def _texts(rows: Any, task_metadata: Any, side: str) -> dict[str, str]:
    """Return texts by id, joined as mteb joins title, text, turns and instruction."""
    from mteb._create_dataloaders import create_dataloader
    from mteb.types import PromptType

    loader = create_dataloader(rows, task_metadata=task_metadata, prompt_type=PromptType(side))
    found: dict[str, str] = {}
    texts = (text for batch in loader for text in batch["text"])
    for name, text in zip(rows["id"], texts, strict=True):
        found.setdefault(str(name), text)
    return found


def _meta(model: Pretrained) -> Any:
    """Return what mteb wants to know of a model."""
    from mteb.models.model_meta import ModelMeta

    name = model.origin.base_model or "modernbert/local"
    told = {"name": name, "revision": "local", "framework": ["PyTorch"]}
    return ModelMeta.create_empty(told)
