"""Two processes train an accelerated model as they train a plain one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from modernbert.model import folder
from tests.nets import config_of, documents_of, lively
from tests.parity.ddp_child import LENGTHS, WAYS
from tests.parity.test_transformers import grid_of
from tests.parity.tolerance import assert_all_as_accurate
from tests.runs import environment

ROOT = Path(__file__).parents[2]


def alone(path: Path) -> dict[str, torch.Tensor]:
    """Return in float64 what both processes should get: the mean of their gradients, twice."""
    model = AutoModelForMaskedLM.from_pretrained(path).double()
    for rank, lengths in enumerate(LENGTHS):
        rows, mask = grid_of(documents_of(lengths, seed=rank), "right")
        labels = rows.where(mask.bool(), -100)
        logits = model(input_ids=rows, attention_mask=mask).logits
        # Their loss rounds logits to float32.
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.slow
def test_gradients_of_two_processes_stay(tmp_path):
    folder.write(lively(config_of()), tmp_path)
    command = [sys.executable, "-m", "tests.parity.ddp_child", str(tmp_path)]
    said = [(tmp_path / f"said-{rank}").open("w+") for rank in range(2)]
    ranks = [
        subprocess.Popen([*command, str(rank)], cwd=ROOT, env=environment(), stderr=said[rank])
        for rank in range(2)
    ]
    for process, file in zip(ranks, said, strict=True):
        status = process.wait(timeout=240)
        file.seek(0)
        with file:
            assert status == 0, file.read()
    first, second = (load_file(tmp_path / f"gradients-{rank}.safetensors") for rank in range(2))
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        assert torch.equal(gradient, second[name]), name
    truth = alone(tmp_path)
    naive = {name: first[f"plain {name}"] for name in truth}
    for way in WAYS:
        assert_all_as_accurate({name: first[f"{way} {name}"] for name in truth}, naive, truth)
