"""One of two processes: a model plain and accelerated under DDP, the gradients of two steps out."""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForMaskedLM

import modernbert
from tests.nets import documents_of
from tests.parity.test_transformers import grid_of

LENGTHS = ([40, 7, 90], [130, 1])
"""Documents of each process."""


def plain(model):
    return DistributedDataParallel(model)


def accelerated(model):
    return DistributedDataParallel(modernbert.accelerate(model))


def accelerated_after(model):
    return modernbert.accelerate(DistributedDataParallel(model))


WAYS = {each.__name__: each for each in (plain, accelerated, accelerated_after)}


def gradients(folder: Path, way: str, rank: int) -> dict[str, torch.Tensor]:
    """Return the gradients that two steps add up: DDP finds unused weights at the second."""
    torch.manual_seed(0)
    model = WAYS[way](AutoModelForMaskedLM.from_pretrained(folder).train())
    rows, mask = grid_of(documents_of(LENGTHS[rank], seed=rank), "right")
    labels = rows.where(mask.bool(), -100)
    for _ in range(2):
        model(input_ids=rows, attention_mask=mask, labels=labels).loss.backward()
    return {f"{way} {name}": weight.grad for name, weight in model.module.named_parameters()}


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    found = {}
    for way in WAYS:
        found |= gradients(folder, way, rank)
    save_file(found, folder / f"gradients-{rank}.safetensors")
    distributed.barrier()
    distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of gloo may outlive the group and end the process with an error.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
