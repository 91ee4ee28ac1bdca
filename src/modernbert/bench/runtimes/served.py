"""vLLM's engine as a runtime: a model's folder in, a function that encodes documents out."""

import os
from pathlib import Path

import torch
from torch import Tensor

from modernbert.bench.runtimes.kinds import Documents, Encode, Target

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
        model=str(folder),
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
