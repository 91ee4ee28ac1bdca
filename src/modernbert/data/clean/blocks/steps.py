"""Steps of ours between those of datatrove: they read, count, record and write."""

import gzip
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, final

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers import JsonlReader

from modernbert.base.errors import UserError
from modernbert.base.files import explained, make_folder, whole_file, write_json
from modernbert.base.records import to_plain
from modernbert.data.clean.options import CleanOptions
from modernbert.data.clean.plan import Portion
from modernbert.data.clean.tally import Hit, Sample, Tally
from modernbert.data.documents import Reader

Documents = Iterator[Document]

READ = "read"
_REFUSED = "refused.json"
NOTE = "note"
"""Where a step leaves what it has to say of a document it drops."""
_REASON, _NGRAM, _SET, _CLUSTER = (
    *("filter_reason", "contaminated_ngram", "contaminated_task"),
    "minhash_cluster_id",
)


@final
class Line(PipelineStep):  # type: ignore[misc]
    """Steps one after the other, those for prose or those for code; leaves a tally, or a refusal.

    Ray tells nobody why a task failed: the file says it.
    """

    type = "modernbert"
    name = "line"

    def __init__(
        self,
        prose: Sequence[PipelineStep],
        code: Sequence[PipelineStep],
        code_ranks: frozenset[int],
        tally: Tally,
        folder: Path,
    ) -> None:
        super().__init__()
        self._prose, self._code, self._code_ranks = prose, code, code_ranks
        self._tally, self._folder = tally, folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Draw all documents through the steps."""
        self._tally.clear()
        steps = self._code if rank in self._code_ranks else self._prose
        for step in steps:
            if isinstance(step, Passed):  # in their order: the last one is the first to be drawn at
                self._tally.step(step.step)
        try:
            for step in steps:
                data = step.run(data, rank, world_size)
            deque(data or (), maxlen=0)
            make_folder(self._folder)
            write_json(tally_path(self._folder, rank), to_plain(self._tally))
        except (UserError, OSError) as error:
            raise refused(self._folder, error) from error


def tally_path(folder: Path, rank: int) -> Path:
    """Return where a task's tally is."""
    return folder / f"tally-{rank:05d}.json"


def refused(folder: Path, error: UserError | OSError) -> UserError:
    """Write why a task cannot go on beside what it wrote, if there is room; return it."""
    try:
        with explained(folder):
            raise error
    except UserError as said:
        told = said
    try:
        make_folder(folder)
        told_as = {"kind": type(told).__name__, "message": str(told)}
        write_json(folder / _REFUSED, told_as)
    except UserError:
        pass
    return told


def is_refused(folder: Path) -> bool:
    """Return whether a task of a stage said why it cannot go on."""
    return (folder / _REFUSED).is_file()


@final
class Read(PipelineStep):  # type: ignore[misc]
    """Gives the documents of a task's files; those without text are counted as dropped."""

    type = "reader"
    name = "files"

    def __init__(self, tasks: Sequence[Portion], options: CleanOptions, tally: Tally) -> None:
        super().__init__()
        self._tasks, self._options, self._tally = tasks, options, tally

    def run(self, _data: Any, rank: int = 0, _world_size: int = 1) -> Documents:
        """Yield the documents of one task."""
        files = [(Path(path), name) for path, name in self._tasks[rank].files]
        utf8, key = self._options.invalid_utf8, self._options.text_key
        self._tally.step(READ)
        for document in Reader(files, invalid_utf8=utf8, key=key, keeps_fields=True):
            self._tally.repaired += document.is_repaired
            if not document.text.strip():
                self._tally.drop(READ, "without text", Sample(document.name, ""))
                continue
            fields = dict(document.fields or {})
            yield Document(document.text, document.name, metadata={"fields": fields})


@final
class Passed(PipelineStep):  # type: ignore[misc]
    """Counts what a step let pass."""

    type = "count"
    name = "passed"

    def __init__(self, step: str, tally: Tally) -> None:
        super().__init__()
        self.step = step
        """Whose documents it counts."""
        self._tally = tally

    def run(self, data: Documents, _rank: int = 0, _world_size: int = 1) -> Documents:
        """Yield what comes."""
        amount = self._tally.step(self.step).passed
        for document in data:
            amount.add(1, len(document.text))
            yield document


@final
class Dropped:
    """What datatrove's steps take for a writer of the documents they drop: counts and samples."""

    def __init__(self, step: str, tally: Tally, reason: str = "") -> None:
        self._step, self._tally, self._reason = step, tally, reason

    def __enter__(self) -> "Dropped":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        return None

    def write(self, document: Document, rank: int = 0) -> None:  # noqa: ARG002
        """Count a document; datatrove tells the task as well."""
        said = document.metadata
        note, reason = str(said.get(NOTE, "")), self._reason or str(said.get(_REASON, "dropped"))
        if _NGRAM in said:
            self._tally.hits.append(Hit(document.id, said[_SET], said[_NGRAM]))
            note, reason = said[_NGRAM], f"holds words of {said[_SET]}"
        elif _CLUSTER in said:
            note = str(said[_CLUSTER])
        self._tally.drop(self._step, reason, Sample(document.id, document.text, note))


@final
class Write(PipelineStep):  # type: ignore[misc]
    """Writes a file a task, whole or not at all, with the same bytes whenever it is written."""

    type = "writer"
    name = "files"

    def __init__(
        self, path_of: Callable[[int], Path], spell: Callable[[Document], Any], *, skips: bool
    ) -> None:
        super().__init__()
        self._path_of, self._spell, self._skips = path_of, spell, skips

    def run(self, data: Documents, rank: int = 0, _world_size: int = 1) -> None:
        """Write all that comes; without a document no file, if such are skipped."""
        first = next(data, None)
        if first is None and self._skips:
            return
        path = self._path_of(rank)
        make_folder(path.parent)
        with whole_file(path) as aside, aside.open("wb") as raw, self._packed(raw) as file:
            for document in _again(first, data):
                line = json.dumps(self._spell(document), ensure_ascii=False, default=str)
                file.write(f"{line}\n".encode())

    def _packed(self, raw: IO[bytes]) -> gzip.GzipFile:
        # Without the time of day the same texts give the same bytes.
        return gzip.GzipFile("", "wb", 6 if self._skips else 1, raw, mtime=0)


def _again(first: Document | None, rest: Iterable[Document]) -> Documents:
    if first is not None:
        yield first
    yield from rest


def as_kept(document: Document) -> dict[str, Any]:
    """Spell a document for the stages that follow."""
    fields = document.metadata["fields"]
    return {"text": document.text, "id": document.id, "metadata": {"fields": fields}}


def as_written(document: Document) -> dict[str, Any]:
    """Spell a document as it is handed to whoever reads the folder."""
    fields = document.metadata["fields"]
    return {"id": document.id, **fields, "text": document.text}


def kept(folder: Path) -> JsonlReader:
    """Read what `as_kept` spelled: one file a task."""
    return JsonlReader(str(folder), glob_pattern="*.jsonl.gz", add_file_path=False)
