"""Shapes in signatures: checked where jaxtyping is, plain tensors where it is not."""

import subprocess
import sys

import pytest
import torch

from modernbert.kernels.geglu import gated


def test_a_wrong_shape_is_refused_while_tests_run():
    with pytest.raises(Exception, match="Type-check error"):
        gated(torch.zeros(2), "gelu")


def test_tensor_rooms_are_imported_without_jaxtyping():
    code = (
        "import sys; sys.modules['jaxtyping'] = None\n"
        "import modernbert.train.run, modernbert.bridge.accelerate, modernbert.infer.engine\n"
        "from modernbert.batch import Layout\n"
        "print(Layout.__annotations__['cu_seqlens'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("<class 'torch.Tensor'>", "")
