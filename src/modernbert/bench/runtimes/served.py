"""vLLM's engine as a runtime: a model's folder in, a function that encodes documents out."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernbert.bench.runtimes.kinds import Documents, Encode, Target
from modernbert.bench.runtimes.theirs import opened

_SHARE = 0.3
"""Of the GPU's memory that the engine may plan with: others wait there for their turn."""


def engine(folder: Path, target: Target) -> Encode:
    """Load vLLM's engine, to give the vector of every token as it leaves the encoder."""
    # Its worker would be the child of a process that may have none.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import vllm
    from vllm.config import PoolerConfig

    model = vllm.LLM(
        model=str(_without_prefix(folder)),
        runner="pooling",
        convert="embed",
        pooler_config=PoolerConfig(task="token_embed", use_activation=False),
        dtype=target.precision,
        skip_tokenizer_init=True,
        enable_prefix_caching=False,
        gpu_memory_utilization=_SHARE,
    )

    def encode(documents: Documents) -> Tensor:
        asked = [{"prompt_token_ids": document.tolist()} for document in documents]
        found = model.encode(asked, pooling_task="token_embed", use_tqdm=False)
        return torch.cat([each.outputs.data for each in found])

    return encode


def _without_prefix(folder: Path) -> Path:
    """Let transformers write the bare encoder anew: vLLM knows its tensors by these names."""
    plain = folder / "plain"
    if not plain.exists():
        model: Any = opened(folder, Target("float32", "cpu"))
        model.save_pretrained(plain)
    return plain
