"""How a corpus is embedded; free of torch, for the command line."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.infer.told import Runtime

Dtype = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """What is written, and who computes it."""

    shard_documents: int = 10_000
    """Documents of a shard: a stopped command goes on at the first that is missing."""
    dtype: Dtype = "float32"
    """Format of the numbers; int8 has a scale a vector beside it."""
    dimensions: int = 0
    """Numbers that are kept of each vector, from its begin; 0 keeps all."""
    prompt: str | None = None
    """Name of the folder's prompt that is put before the texts, "" for none; without it document,
    passage or corpus, or else the folder's default."""
    max_length: int = 0
    """Tokens at which texts are cut; 0 takes what the model's folder says."""
    engine: Literal["local", "ray"] = "local"
    """Compute in this process, or on a Ray cluster: that of RAY_ADDRESS, or one that is started
    here."""
    workers: int = 0
    """Shards that Ray computes at a time; 0 takes what the cluster has room for."""
    threads: int = 0
    """Threads that compute a shard; 0 takes all here, and one on Ray. Another number of threads
    rounds otherwise."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    runtime: Runtime = "torch"
    """What computes: torch; int8, the same with matrices in 8 bits on a CPU; or a graph of a folder
    that `modernbert export` wrote."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if self.shard_documents < 1:
            raise ConfigError(f"--shard-documents is {self.shard_documents}: give 1 or more")
        if min(self.dimensions, self.max_length, self.workers, self.threads) < 0:
            raise ConfigError(
                "--dimensions, --max-length, --workers and --threads cannot be negative"
            )
        if self.workers and self.engine == "local":
            raise ConfigError("--workers is for --engine ray: leave it out, or say --threads")
