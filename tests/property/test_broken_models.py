"""Whatever config.json and the header of safetensors say: the model answers, or a sentence."""

import json
import shutil
import struct
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modernbert.base.errors import UserError
from modernbert.batch import pack
from modernbert.infer.pretrained import load
from modernbert.model.stored import CONFIG, WEIGHTS
from tests.unit.infer.test_pretrained import made

LONGEST = 600
"""Characters of a sentence, paths included."""

settings.register_profile("files", suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.sampled_from([0, 1, -1, 2, 7, 10**6, 2**31, 2**63, 10**40, 0.5, -1.5, 1e30, 1e308])
ODD = st.sampled_from([float("nan"), float("inf"), "", "0", "full_attention", "x" * 9000, "\ud800"])
PLAIN = st.none() | st.booleans() | NUMBERS | ODD
NAMES = st.sampled_from(["0", "rope_theta", "rope_type", "full_attention", "type"])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
KINDS = st.sampled_from(
    ["F64", "F32", "F16", "BF16", "I8", "I32", "BOOL", "F8_E4M3", "C64", "X", 1]
)
SHAPES = st.lists(st.sampled_from([0, 1, 32, -1, 2**32, 2**63]), max_size=3)
OFFSETS = st.lists(st.sampled_from([0, 4, 128, -1, 2**40]), max_size=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    made(num_layers=2).save(folder)
    return folder


def check(folder):
    """Open a folder and use it; what it refuses or leaves out must be said in a short line."""
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        try:
            model = load(folder)
            with torch.no_grad():
                model(pack([[1, 5, 6, 2]]))
        except UserError as error:
            said.append(str(error))
    for sentence in (*said, *(str(each.message) for each in warned)):
        assert "\n" not in sentence
        assert len(sentence) < LONGEST + 2 * len(str(folder))


@given(st.data())
@settings(settings.get_profile("files"), max_examples=60, deadline=None)
def test_any_config(whole, tmp_path, data):
    keys = json.loads((whole / CONFIG).read_text())
    known = st.sampled_from([*keys, "rope_scaling"])
    keys |= data.draw(st.dictionaries(known, VALUES, min_size=1, max_size=3))
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / CONFIG).write_text(json.dumps(keys))
    check(tmp_path)


@given(st.data())
@settings(settings.get_profile("files"), max_examples=60, deadline=None)
def test_any_header(whole, tmp_path, data):
    raw = (whole / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    name = data.draw(st.sampled_from(sorted(header)))
    fields = {"dtype": KINDS, "shape": SHAPES, "data_offsets": OFFSETS}
    changed = data.draw(st.fixed_dictionaries({}, optional=fields) | VALUES)
    is_whole = isinstance(changed, dict) and isinstance(header[name], dict)
    header[name] = header[name] | changed if is_whole else changed
    text = json.dumps(header).encode()
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
    check(tmp_path)


@given(length=st.integers(0, 100_000), flipped=st.integers(0, 4000), bits=st.integers(0, 255))
@settings(settings.get_profile("files"), max_examples=40, deadline=None)
def test_any_damage(whole, tmp_path, length, flipped, bits):
    raw = bytearray((whole / WEIGHTS).read_bytes())
    raw[flipped] ^= bits
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / WEIGHTS).write_bytes(raw[: len(raw) - length] if bits % 2 else raw)
    check(tmp_path)
