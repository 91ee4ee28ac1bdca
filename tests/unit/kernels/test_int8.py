"""Products in 8 bits against exact ones: off by no more than the steps of the rounding."""

import os
import subprocess
import sys

import pytest
import torch

from modernbert.kernels import int8

SIZES = {"one": (1, 24, 40), "some": (37, 64, 8), "many": (5000, 8, 16)}


def drawn(tokens, wide, out):
    source = torch.Generator().manual_seed(0)
    x = torch.randn(tokens, wide, generator=source)
    x[:: max(1, tokens // 3)] *= 50
    return x, torch.randn(out, wide, generator=source), torch.randn(out, generator=source)


def packed(weight, bias):
    return int8.pack(*int8.rounded(weight), bias)


def width_of_steps(x):
    return ((x.amax(1) - x.amin(1)) / 255)[:, None]


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_products_are_off_by_the_steps_of_rounding_at_most(size, has_bias):
    x, weight, bias = drawn(*size)
    bias = bias if has_bias else None
    found = int8.linear(x, packed(weight, bias))
    exact = torch.nn.functional.linear(
        x.double(), weight.double(), None if bias is None else bias.double()
    )
    steps = weight.abs().amax(1) / int8.STEPS
    of_weight = x.abs().sum(1)[:, None] * steps / 2
    of_tokens = width_of_steps(x) * (weight.abs().sum(1) / 2)
    both = of_weight + of_tokens * 1.02
    assert ((found - exact).abs() <= both + 1e-4 * exact.abs() + 1e-5).all()


def test_each_token_has_its_own_steps():
    x, weight, _ = drawn(8, 64, 16)
    x[0] *= 1000
    matrix = packed(weight, None)
    found = int8.linear(x, matrix)
    assert torch.cosine_similarity(found, x @ weight.T, dim=1).min() > 0.999
    alone = torch.cat([int8.linear(each[None], matrix) for each in x])
    torch.testing.assert_close(found, alone, rtol=1e-6, atol=1e-6)


def test_bfloat16_stays_bfloat16():
    x, weight, bias = drawn(5, 32, 8)
    found = int8.linear(x.bfloat16(), packed(weight, bias))
    assert found.dtype == torch.bfloat16
    exact = torch.nn.functional.linear(x, weight, bias)
    assert torch.cosine_similarity(found.float(), exact, dim=1).min() > 0.99


def test_no_tokens_and_zeros_are_multiplied():
    _, weight, bias = drawn(1, 32, 8)
    matrix = packed(weight, bias)
    assert int8.linear(torch.empty(0, 32), matrix).shape == (0, 8)
    torch.testing.assert_close(int8.linear(torch.zeros(3, 32), matrix), bias.expand(3, 8))


def test_a_row_of_zeros_is_rounded_to_zeros():
    whole, scales = int8.rounded(torch.zeros(2, 4))
    assert (whole == 0).all()
    assert torch.isfinite(scales).all()


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE", "AVX2_VNNI"])
def test_older_processors_give_the_same_products(instructions):
    here = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-o", "addopts="]
    only = ["-k", "steps_of_rounding or own_steps or bfloat16", __file__]
    asked = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    done = subprocess.run([*here, *only], env=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
