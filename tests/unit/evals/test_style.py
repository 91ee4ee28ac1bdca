"""Colours of lines can be told apart, from each other and from the ground, by every reader."""

import itertools
import re

import numpy as np
import pytest

from modernbert.evals.style import STYLE

# What is left of linear red, green and blue where one kind of cone is missing: Machado, Oliveira
# and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency".
SIGHTS = {
    "all cones": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no blue": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def seen(light):
    """Return CIE L*a*b*, in which a distance of 2.3 is just noticed."""
    parts = TO_XYZ @ np.clip(light, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(parts > 0.008856, np.cbrt(parts), 7.787 * parts + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    low, high = sorted(float(TO_XYZ[1] @ linear(each)) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def palettes():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", text)) for text in (light, dark)]


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_six_colours_lie_far_apart(palette, sight):
    places = [seen(SIGHTS[sight] @ linear(palette[f"s{i}"])) for i in range(6)]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)]
    assert min(distances) > 7 * 2.3


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_lines_stand_out_from_paper_and_bands(palette):
    for ground in ("paper", "band"):
        assert min(contrast(palette[f"s{i}"], palette[ground]) for i in range(6)) >= 3
        assert contrast(palette["ink"], palette[ground]) >= 7
        assert contrast(palette["soft"], palette[ground]) >= 4.5
