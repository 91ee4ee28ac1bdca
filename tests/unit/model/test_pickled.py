"""Files of torch: what is harmless is read, what names code is not even touched."""

import os
import pickle

import pytest
import torch

from modernbert.base.errors import CheckpointError
from modernbert.model import pickled
from tests.flexbert import composer, model_of, saved


class Touches:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


class Evaluates(Touches):
    def __reduce__(self):
        return (eval, (f"open({str(self.path)!r}, 'w').close()",))


def test_everything_a_composer_file_holds_is_read(tmp_path):
    content = composer(model_of())
    again = pickled.load(saved(content, tmp_path / "ep0.pt"))
    assert again["state"]["timestamp"] == content["state"]["timestamp"]
    assert again["state"]["metadata"]["torch_version"] == torch.__version__
    assert (again["rng"][0]["numpy"][1] == content["rng"][0]["numpy"][1]).all()
    for name, tensor in content["state"]["model"].items():
        assert torch.equal(again["state"]["model"][name], tensor)


def test_numpy_1_wrote_the_same_under_another_name(tmp_path):
    saved(composer(model_of())["rng"], tmp_path / "new.pt", _use_new_zipfile_serialization=False)
    new = (tmp_path / "new.pt").read_bytes()
    assert new.count(b"cnumpy._core.multiarray\n") == 1
    (tmp_path / "old.pt").write_bytes(
        new.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    )
    one, other = (pickled.load(tmp_path / f"{age}.pt")[0]["numpy"][1] for age in ("new", "old"))
    assert (one == other).all()


@pytest.mark.parametrize("kind", [Touches, Evaluates])
@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("place", ["state", "rng"])
def test_code_is_refused_and_not_run(tmp_path, kind, is_zip, place):
    bad = composer(model_of()) | {place: kind(tmp_path / "ran")}
    path = saved(bad, tmp_path / "bad.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match=r"bad\.pt asks for \S+, which could run code, so"):
        pickled.load(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)  # a careless reader does run it
    assert (tmp_path / "ran").exists()


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "bad.bin").write_bytes(pickle.dumps(Touches(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match="is no checkpoint of torch, or not a whole one"):
        pickled.load(tmp_path / "bad.bin")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    path = saved(composer(model_of()), tmp_path / "cut.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"cut\.pt is no checkpoint of torch, or not a whole"):
        pickled.load(path)


def test_a_text_is_no_checkpoint(tmp_path):
    (tmp_path / "a.pt").write_text("hello world")
    with pytest.raises(CheckpointError, match=r"a\.pt is no checkpoint of torch"):
        pickled.load(tmp_path / "a.pt")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no file .*no\.pt: check the path"):
        pickled.load(tmp_path / "no.pt")
