"""Documents in, a folder to search them in out; queries in, what fits them with passages out.

index = Index.create(Path("found"), "run/model", EntryFiles([Path("docs.jsonl")]))
for hit in Index.open(Path("found")).search(["packed batches"])[0]:
    print(hit.score, hit.id, hit.snippet.text)
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from modernbert.base import files
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import say
from modernbert.data.entries import Entry, EntryFiles
from modernbert.retrieval import index_arrays, index_files, looking
from modernbert.retrieval.answers import Embed, Found, answers_of, entries_of
from modernbert.retrieval.beginning import begun, check_same, described, fill
from modernbert.retrieval.filters import conditions_of
from modernbert.retrieval.hits import Hits, fused, in_order, joined
from modernbert.retrieval.index_files import IndexFacts
from modernbert.retrieval.options import IndexOptions, SearchOptions
from modernbert.retrieval.segment import segments_of
from modernbert.retrieval.writing import Writer

if TYPE_CHECKING:
    from modernbert.infer.pretrained import Pretrained
    from modernbert.retrieval.compare import Query
    from modernbert.retrieval.neighbours import Neighbours

_FUSED = 100
"""Documents of each search that are fused, at least."""


@final
class Index:
    """Documents with their vectors and words, in a folder.

    An opened index stays what it was while others add and delete; `compact` ends it.
    """

    def __init__(self, folder: Path, model: str = "", device: str = "auto") -> None:
        """Open an index, see `open`."""
        self.folder = folder
        self._model_name, self._device = model, device
        self._model: Pretrained | None = None
        self._reranker: tuple[str, Pretrained | None] = ("", None)
        self._take(index_files.read_facts(folder))

    @classmethod
    def open(cls, folder: Path, *, model: str = "", device: str = "auto") -> "Index":
        """Open an index; nothing but index.json is read before it is needed.

        `model` is where the model lies now, if it was moved.

        Raises:
            CheckpointError: the folder holds no index, or one of another format.
        """
        return cls(folder, model, device)

    @classmethod
    def create(
        cls,
        folder: Path,
        model: str | Path,
        documents: Iterable[Entry],
        options: IndexOptions | None = None,
    ) -> "Index":
        """Make an index, or go on with one that was begun from the same files by the same model.

        Raises:
            CheckpointError: the model cannot be read.
            ConfigError: the folder holds something else, or the model cannot read as is asked.
            DataError: there is no document, or an id is there twice.
            MachineError: the disk is full or the folder cannot be written.
        """
        options = options or IndexOptions()
        opened, facts = begun(folder, str(model), options)
        if not index_files.is_free(folder):
            holds = "holds files that are" if folder.is_dir() else "is a file, and"
            raise ConfigError(f"{folder} {holds} no index: give a new or empty folder")
        with files.promised_folder(folder), Writer(folder, facts) as writer:
            check_same(folder, writer.facts, facts, documents)
            say(described(writer.facts, opened))
            fill(writer, documents, opened, replaces=False)
        index = cls(folder, str(model), options.device)
        index._model = opened
        return index

    @property
    def facts(self) -> IndexFacts:
        """What index.json says."""
        return self._facts

    def __len__(self) -> int:
        """Return how many documents can be found."""
        return self._facts.num_documents

    def add(self, documents: Iterable[Entry], *, replaces: bool = False) -> None:
        """Add documents; those whose ids are there already take their place, or are refused.

        Raises:
            CheckpointError: the model is not there, or another one.
            DataError: there is no document, or an id is there twice.
            MachineError: the disk is full or the folder cannot be written.
        """
        with Writer(self.folder) as writer:
            fill(writer, documents, self.model, replaces=replaces)
        self._take(index_files.read_facts(self.folder))

    def check(self, documents: EntryFiles, *, replaces: bool, without: Sequence[str]) -> None:
        """Refuse documents that `add` would refuse once those `without` are deleted.

        Raises:
            DataError: one cannot be read, or its id is there twice.
        """
        with Writer(self.folder) as writer:
            writer.check(documents, replaces=replaces, without=without)

    def delete(self, ids: Sequence[str]) -> list[str]:
        """Delete documents, and return the ids that no document has."""
        with Writer(self.folder) as writer:
            unknown = writer.delete(ids)
        self._take(index_files.read_facts(self.folder))
        return unknown

    def compact(self) -> None:
        """Give the room of deleted documents back, and join small segments."""
        with Writer(self.folder) as writer:
            writer.compact()
            writer.link()
        self._take(index_files.read_facts(self.folder))

    def search(
        self,
        queries: Sequence[str],
        options: SearchOptions | None = None,
        vectors: "Sequence[Query] | None" = None,
    ) -> list[list[Found]]:
        """Return for each query the documents that fit it best, the best first.

        `vectors` are those of the queries where they are known, as `query_encoding` gives them.

        Raises:
            CheckpointError: the model is not there, or another one.
            ConfigError: a filter or the way of searching is not possible here.
            DataError: a query is empty, or the index is.
        """
        options = options or SearchOptions()
        found, vectors = self._ranked(queries, options, vectors)
        is_dense = self._facts.kind == "dense" and bool(vectors)
        embed = self._embedder() if is_dense else None
        return [
            answers_of(self._segments, hits, query, vectors[at] if is_dense else None, embed)
            for at, (query, hits) in enumerate(zip(queries, found, strict=True))
        ]

    def rank(self, queries: Sequence[str], options: SearchOptions | None = None) -> list[Hits]:
        """Return numbers and scores alone, as `search` finds them: `ids` gives their ids."""
        return self._ranked(queries, options or SearchOptions())[0]

    def rank_vectors(self, vectors: "Sequence[Query]", options: SearchOptions) -> list[Hits]:
        """Return numbers and scores for queries whose vectors are known, each [T N] in float32.

        Raises:
            ConfigError: a query has as many numbers as no document.
        """
        looking.check_widths(vectors, self._facts.dim)
        return self._by_vectors(vectors, self._masks(options.filter), options, options.number)

    def ids(self, hits: Hits) -> list[str]:
        """Return the ids of documents that were found."""
        return [entry.id for entry in entries_of(self._segments, hits)]

    def first(self, number: int) -> list[Entry]:
        """Return the documents that were added first, so many at most."""
        numbers = np.flatnonzero(np.concatenate([np.empty(0, dtype=np.bool_), *self._alive]))
        return entries_of(self._segments, Hits(numbers[:number], np.zeros(0, dtype=np.float32)))

    @property
    def model(self) -> "Pretrained":
        """The model that the index was built by; opened when it is first needed.

        Raises:
            CheckpointError: it is not there, or is another one.
        """
        if self._model is None:
            from modernbert.retrieval.opened import open_model

            self._model = open_model(self.folder, self._facts, self._model_name, self._device)
        return self._model

    def _take(self, facts: IndexFacts) -> None:
        self._facts = facts
        self._graph: Neighbours | None = None
        self._segments = segments_of(self.folder, facts)
        deleted = index_arrays.read_deleted(self.folder, facts)
        self._alive = []
        for segment in self._segments:
            alive = np.ones(segment.facts.documents, dtype=np.bool_)
            first, last = np.searchsorted(deleted, [segment.start, segment.start + len(alive)])
            alive[deleted[first:last] - segment.start] = False
            self._alive.append(alive)

    def _ranked(
        self,
        queries: Sequence[str],
        options: SearchOptions,
        known: "Sequence[Query] | None" = None,
    ) -> tuple[list[Hits], "Sequence[Query]"]:
        """Return what is found, and the queries' vectors where they were needed."""
        looking.check_queries(queries)
        if not len(self):
            raise DataError(f"{self.folder} holds no document: add some")
        masks = self._masks(options.filter)
        depth = max(options.number, options.num_reranked)
        if options.mode == "hybrid":
            depth = max(depth, _FUSED)
        vectors: Sequence[Query] = []
        runs = []
        if options.mode != "words":
            from modernbert.retrieval.vectors import encode_queries

            vectors = encode_queries(self.model, queries) if known is None else known
            runs.append(self._by_vectors(vectors, masks, options, depth))
        if options.mode != "dense":
            runs.append(looking.by_words(self._segments, self._alive, masks, queries, depth))
        found = fused(runs[0], runs[1], depth) if len(runs) > 1 else runs[0]
        if options.reranker:
            first = [hits.first(options.num_reranked) for hits in found]
            found = self._reranked(queries, first, options)
            if options.rerank_by == "sum":
                found = joined(first, found)
        return [hits.first(options.number) for hits in found], vectors

    def _masks(self, written: Sequence[str]) -> looking.Masks:
        conditions = conditions_of(written, self._facts.keys)
        if not conditions:
            return self._alive
        return [
            alive
            & np.array(
                [all(each.holds(kept) for each in conditions) for kept in segment.all_metadata()]
            )
            for segment, alive in zip(self._segments, self._alive, strict=True)
        ]

    def _by_vectors(
        self,
        vectors: "Sequence[Query]",
        masks: looking.Masks,
        options: SearchOptions,
        number: int,
    ) -> list[Hits]:
        facts = self._facts
        if options.approximate and not facts.neighbours:
            raise ConfigError(
                f"{self.folder} has no graph of neighbours: it has {facts.num_vectors:,} vectors, "
                f"and one is made above {facts.approximate_above:,}; leave --approximate out"
            )
        is_exact = options.exact or not facts.neighbours or options.filter
        if is_exact:
            return looking.by_vectors(self._segments, masks, vectors, facts.kind, number)
        if self._graph is None:
            from modernbert.retrieval.neighbours import Neighbours

            self._graph = Neighbours.open(self.folder / facts.neighbours)
        given, sizes = (self._segments, masks), (facts.kind, number)
        return looking.by_neighbours(self._graph, facts.neighbour_vectors, given, vectors, sizes)

    def _reranked(
        self, queries: Sequence[str], found: Sequence[Hits], options: SearchOptions
    ) -> list[Hits]:
        from modernbert.base.device import choose_device
        from modernbert.infer.pretrained import load
        from modernbert.retrieval.rerank import rerank

        name, reranker = self._reranker
        if reranker is None or name != options.reranker:
            reranker = load(options.reranker).to(choose_device(self._device))
            self._reranker = (options.reranker, reranker)
        numbers = np.unique(np.concatenate([hits.numbers for hits in found]))
        texts = [entry.whole for entry in entries_of(self._segments, Hits(numbers, numbers))]
        local = [Hits(np.searchsorted(numbers, hits.numbers), hits.scores) for hits in found]
        ordered = rerank(reranker, queries, texts, local)
        return [in_order(numbers[hits.numbers], hits.scores) for hits in ordered]

    def _embedder(self) -> Embed:
        from modernbert.retrieval.vectors import encode_documents

        reading = index_files.Reading(max_length=self._facts.reading.max_length)
        return lambda texts: encode_documents(self.model, texts, reading)[0].vectors
