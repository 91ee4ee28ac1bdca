"""Models by name: which one a request is for, and what it can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modernbert.base.records import nearest
from modernbert.infer.abilities import Ability
from modernbert.infer.shared import AsyncEngine
from modernbert.retrieval.index import Index
from modernbert.serve.refusals import RefusedError

_DOES: Mapping[Ability, str] = {
    "embed": "gives texts dense vectors",
    "token_vectors": "gives each token a vector",
    "sparse": "gives texts sparse vectors",
    "rerank": "scores pairs of texts",
    "classify": "labels texts",
    "tag": "tags words",
    "answer": "finds answers",
    "choose": "chooses",
    "fill": "fills [MASK]",
}


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A model that is served."""

    name: str
    source: str
    """Folder or hub id, as it was given."""
    engine: AsyncEngine
    created: int
    """Time of its files, in seconds since 1970, as the file system has it."""
    sha: str | None
    """Commit on the hub, where it is known."""


@dataclass(frozen=True, slots=True, eq=False)
class ServedIndex:
    """An index that is searched, and the model that it was built by."""

    name: str
    index: Index
    model: Served


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """All models and indexes of a server."""

    models: Sequence[Served]
    indexes: Sequence[ServedIndex]

    @property
    def is_on_cpu(self) -> bool:
        """Whether the first model is computed on a processor, for TEI's header."""
        return self.models[0].engine.model.runs.device.type == "cpu"

    def find(self, name: str | None, *any_of: Ability, wrong: int = 424) -> Served:
        """Return the model of a name, or without one the first that can do any of what is asked.

        Raises:
            RefusedError: there is no such model (404), or it cannot do that (424, or as is said).
        """
        asked = [self.named(name)] if name else self.models
        for each in asked:
            if {*any_of} & {*each.engine.abilities}:
                return each
        can = {each.name: ", ".join(each.engine.abilities) or "nothing" for each in asked}
        known = "; ".join(f"{model} can {abilities}" for model, abilities in can.items())
        does = " or ".join(_DOES[ability] for ability in any_of)
        raise RefusedError(wrong, "Backend", f"no model here that {does}: {known}", "model_type")

    def named(self, name: str | None) -> Served:
        """Return the model of a name, or the first.

        Raises:
            RefusedError: there is none of this name (404).
        """
        if not name:
            return self.models[0]
        for each in self.models:
            if each.name == name:
                return each
        hint = nearest(name, [each.name for each in self.models])
        raise RefusedError(404, "NotFound", f"there is no model {name!r}: {hint}")

    def index(self, name: str | None) -> ServedIndex:
        """Return the index of a name, or the first.

        Raises:
            RefusedError: there is none (404).
        """
        if not self.indexes:
            raise RefusedError(
                404, "NotFound", "no index is served: start the server with --index FOLDER"
            )
        if not name:
            return self.indexes[0]
        for each in self.indexes:
            if each.name == name:
                return each
        hint = nearest(name, [each.name for each in self.indexes])
        raise RefusedError(404, "NotFound", f"there is no index {name!r}: {hint}")
