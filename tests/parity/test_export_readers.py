"""What is exported, opened by other people's libraries."""

import os

import numpy as np
import pytest
import torch

import modernbert
from modernbert.infer.export.export import Asked, export_model
from tests.sentence_folders import TEXTS, made


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export a model of vectors to both runtimes."""
    folder = tmp_path_factory.mktemp("exported")
    source, out = folder / "model", folder / "out"
    made(None, num_layers=2).save(source)
    asked = Asked(forms=("onnx", "onnx-int8", "openvino"), least_cosine=0.98)
    export_model(str(source), modernbert.load(source), TEXTS, asked, out)
    return source, out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/model_quantized.onnx"])
def test_fastembed_gives_the_same_vectors(exported, name, monkeypatch):
    pytest.importorskip("fastembed", reason="fastembed is not installed beside these libraries")
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    source, out = exported
    TextEmbedding.add_custom_model(
        model=f"exported/{name}",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="exported/model"),
        dim=32,
        model_file=name,
    )
    theirs = TextEmbedding(f"exported/{name}", specific_model_path=str(out))
    assert_alike(np.stack([*theirs.embed(TEXTS)]), source)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("onnx", "model.onnx"),
        ("onnx", "model_quantized.onnx"),
        ("openvino", "openvino_model.xml"),
    ],
)
def test_sentence_transformers_gives_the_same_vectors(exported, backend, name):
    packages = {"onnx": "optimum.onnxruntime", "openvino": "optimum.intel"}
    pytest.importorskip(
        packages[backend],
        reason="the optimum that this backend needs does not go with this transformers",
        exc_type=ImportError,
    )
    from sentence_transformers import SentenceTransformer

    source, out = exported
    options = {"file_name": name, "local_files_only": True}
    if backend == "onnx":
        options["provider"] = "CPUExecutionProvider"
    theirs = SentenceTransformer(str(out), backend=backend, model_kwargs=options)
    assert_alike(theirs.encode(TEXTS), source)


def assert_alike(theirs, source):
    exact = modernbert.load(source).float().embed(TEXTS)
    found = torch.cosine_similarity(torch.from_numpy(np.asarray(theirs)), exact)
    assert found.min() > 0.999
