"""A work folder in, where each stage puts its files out."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Folders:
    """Names inside the work folder."""

    work: Path

    @property
    def kept_texts(self) -> Path:
        """Texts that passed the filters, a file a task."""
        return self.work / "kept"

    def kept(self, rank: int) -> Path:
        """Return the file of one task."""
        return self.kept_texts / f"{rank:05d}.jsonl.gz"

    @property
    def written(self) -> Path:
        """What becomes the result."""
        return self.work / "written"

    @property
    def index(self) -> Path:
        """Runs of words of the evaluation sets."""
        return self.work / "index"

    @property
    def exact(self) -> Path:
        """Hashes of texts, and which texts are copies."""
        return self.work / "exact"

    @property
    def near(self) -> Path:
        """Signatures of texts, pairs and groups of them."""
        return self.work / "near"

    @property
    def near_found(self) -> Path:
        """Which texts are near copies, and the first of each group."""
        return self.near / "found"

    @property
    def names(self) -> Path:
        """Names of the texts whose signatures are compared."""
        return self.near / "names"

    def logs(self, stage: str) -> Path:
        """Return where datatrove notes which tasks of a stage are done."""
        return self.work / "logs" / stage

    def tallies(self, stage: str) -> Path:
        """Return where the tasks of a stage leave their counts."""
        return self.work / "tallies" / stage
