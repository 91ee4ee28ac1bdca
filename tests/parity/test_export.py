"""Exports against the model, for every head; proofs that can fail."""

import json
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError, MachineError
from modernbert.batch import Layout, PackedBatch, pack
from modernbert.cli.export import lines_of
from modernbert.data.python_source import functions_of
from modernbert.evals.exported import own_texts
from modernbert.infer.export import export as export_module
from modernbert.infer.export import proving, writing
from modernbert.infer.export.export import Asked, RefusedError, export_model
from modernbert.infer.export.graph import Graph
from modernbert.infer.export.record import PLACES, Export, read_export
from modernbert.infer.export.running import ExportedModel
from modernbert.infer.export.writing import write_onnx
from modernbert.model.config import MASKED_LM, HeadConfig
from tests.architecture.source import ROOT
from tests.nets import config_of, documents_of, lively
from tests.sentence_folders import TEXTS, made

LENGTHS = (5, 33, 1, 70)
HEADS = {
    "none": None,
    "masked_lm": MASKED_LM,
    "sequence": HeadConfig(kind="sequence", labels=("a", "b", "c"), pooling="mean"),
    "first": HeadConfig(kind="sequence", labels=("score",), problem="regression", pooling="cls"),
    "tokens": HeadConfig(kind="tokens", labels=("O", "B-X", "I-X")),
    "spans": HeadConfig(kind="spans", labels=("start", "end")),
    "choice": HeadConfig(kind="choice", labels=("score",)),
}
NEEDED = {
    "onnx": ("onnxruntime", "onnxscript"),
    "openvino": ("openvino", "onnxscript"),
    "openvino-int8": ("openvino", "onnxscript", "nncf"),
}


FEW = ["", "a", "Paris", "x " * 300, "the the the the", "what is love"]
"""Words whose numbers are larger than those of sentences: fixed scales cut them off."""
EIGHT_BITS = ("int8", "onnx-int8", "openvino-int8")


def needs(*runtimes):
    for runtime in runtimes:
        for package in NEEDED[runtime]:
            pytest.importorskip(package, reason=f"{package} is not installed here")


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_grid_gives_what_packed_documents_give(head, side):
    model = lively(config_of(local_window=16, num_layers=4), head=head).eval().double()
    documents, longest = documents_of(LENGTHS), max(LENGTHS)
    ids = torch.zeros(len(LENGTHS), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, document in enumerate(documents):
        first = 0 if side == "right" else longest - len(document)
        ids[row, first : first + len(document)] = torch.tensor(document)
        mask[row, first : first + len(document)] = 1
    for is_for_int8 in (False, True):
        with torch.no_grad():
            found = Graph(model, is_for_int8=is_for_int8)(ids, mask)
            truth = model(pack(documents))
        rows = torch.stack(found, -1) if len(found) > 1 else found[0]
        if head is not None and head.kind == "choice":
            rows = rows[:, None]
        elif head is None or not head.reads_documents:
            assert (rows[mask == 0] == 0).all()
            rows = rows[mask.bool()]
        # Angles are float32: places that begin later turn by the same, rounded elsewhere.
        close = 1e-9 if side == "right" else 1e-5
        torch.testing.assert_close(rows, truth, rtol=close, atol=close)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One export of each head, made when it is asked for."""
    folder, done = tmp_path_factory.mktemp("exported"), {}

    def of(name, *forms):
        key = (name, *forms)
        if key not in done:
            source, out = folder / name / "model", folder / "-".join(key)
            if not source.exists():
                made(HEADS[name], num_layers=2).save(source)
            model = modernbert.load(source)
            # Weights that nobody trained, in a model so narrow, lose more than others do.
            asked = Asked(forms=forms, least_cosine=0.98 * ("int8" in forms))
            export_model(str(source), model, TEXTS, asked, out)
            done[key] = source, out
        return done[key]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "choice"])
def test_sizes_of_a_graph_have_names(name, tmp_path):
    needs("onnx")
    import onnxruntime

    write_onnx(made(HEADS[name], num_layers=2).model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    rows = ["batch_size", "num_choices"] if name == "choice" else ["batch_size"]
    for given in session.get_inputs():
        assert given.shape == [*rows, "sequence_length"]
    (told,) = session.get_outputs()
    assert told.shape == (rows if name == "choice" else ["batch_size", "sequence_length", 32])


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_both_runtimes_say_what_the_model_says(exported, name):
    needs("onnx", "openvino")
    source, out = exported(name, "onnx", "openvino")
    model = modernbert.load(source).float()
    batch = pack([model.tokenizer.encode(text).tolist() for text in TEXTS if text])
    with torch.no_grad():
        truth, exact = model(batch), modernbert.load(source).double()(batch)
    rounding = float((truth - exact).abs().max())
    for runtime in ("onnx", "openvino"):
        opened = modernbert.load(out, runtime=runtime)
        assert all(weight.is_meta for weight in opened.model.parameters())
        off = float((opened(batch) - exact).abs().max())
        assert off <= 10 * rounding, runtime
        proof = read_export(out).graphs[runtime].proof
        assert proof.cosine >= proof.least_cosine
        assert not proof.failure()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:only this package opens the folder:UserWarning")
def test_options_of_the_shape_are_exported_too(tmp_path):
    needs("onnx", "openvino", "openvino-int8")
    options = {"gated_mlp": False, "position": "learned", "norm": "rms", "qk_norm": True}
    made(num_layers=2, mlp_dim=96, **options).save(tmp_path / "model")
    model, forms = modernbert.load(tmp_path / "model"), ("onnx", "openvino", *EIGHT_BITS)
    out = tmp_path / "out"
    export_model(str(tmp_path / "model"), model, TEXTS, Asked(forms=forms, least_cosine=0.9), out)
    batch = pack([model.tokenizer.encode(text).tolist() for text in TEXTS if text])
    with torch.no_grad():
        truth = model.model(batch)
    for runtime in forms:
        found = modernbert.load(out, runtime=runtime)(batch)
        cosines = torch.nn.functional.cosine_similarity(found, truth)
        assert cosines.min() > (0.9 if "int8" in runtime else 0.99999), runtime


@pytest.mark.slow
def test_threads_may_ask_a_graph_at_once(exported):
    needs("onnx", "openvino")
    _, out = exported("none", "onnx", "openvino")
    batches = [pack([[1, *([7, 300, 11, 42] * length), 2]]) for length in (1, 10, 125, 200)] * 6
    for runtime in ("onnx", "openvino"):
        opened = modernbert.load(out, runtime=runtime)
        alone = [opened(batch) for batch in batches]
        with ThreadPoolExecutor(4) as threads:
            for found, right in zip(threads.map(opened, batches), alone, strict=True):
                torch.testing.assert_close(found, right)


@pytest.mark.parametrize("name", HEADS)
def test_our_own_eight_bits_are_close_for_every_head(exported, name):
    source, out = exported(name, "int8")
    proof = read_export(out).graphs["int8"].proof
    assert 0.98 <= proof.cosine < 1
    rounded, opened = (modernbert.load(each, runtime="int8") for each in (source, out))
    batch = pack([[1, 5, 9, 7, 2], [1, 2], [1, *range(10, 400), 2]])
    with torch.no_grad():
        torch.testing.assert_close(opened(batch), rounded(batch), rtol=0, atol=0)
    assert opened.computes == "8 bits on cpu"
    assert opened.to("meta").model.device.type == "cpu"
    with pytest.raises(ConfigError, match="has no weights to save: open it without one"):
        opened.save(out.parent / "again")


def library_texts():
    """Docstrings and code of Python's own library: each commit changes this package's own.

    OpenVINO's fixed scales are taken from them, and what odd texts keep depends on that.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    names = ("doctest", "email/message", "http/cookies", "unittest/case", "zipfile")
    found = [each for name in names for each in functions_of(folder / f"{name}.py")]
    texts = [text for each in found for text in (each.docstring, each.code) if text.strip()]
    return texts[::2]


@pytest.mark.slow
def test_eight_bits_of_a_trained_model_keep_their_word(tmp_path):
    needs("onnx", "openvino-int8")
    source, forms = str(ROOT / "packages/mini/src/modernbert_mini/model"), EIGHT_BITS
    texts = library_texts()
    export_model(source, modernbert.load(source), texts, Asked(forms=forms), tmp_path)
    export, exact = read_export(tmp_path), modernbert.load(source).float().embed(texts)
    exact_few = modernbert.load(source).float().embed(FEW)
    for form in forms:
        written = export.graphs[form]
        assert 0.997 <= written.proof.cosine < written.proof.mean_cosine < 1, form
        assert written.size_bytes == sum((tmp_path / name).stat().st_size for name in written.files)
        assert written.size_bytes < 19_000_000
        vectors = modernbert.load(tmp_path, runtime=form).embed(texts)
        assert torch.cosine_similarity(vectors, exact).min() > 0.999, form
        few = modernbert.load(tmp_path, runtime=form).embed(FEW)
        assert torch.cosine_similarity(few, exact_few).min() > 0.985, form


def test_a_folder_keeps_exports_beside_its_weights(tmp_path):
    source, other = tmp_path / "model", tmp_path / "other"
    made(None).save(source)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    export_model(str(source), modernbert.load(source), TEXTS, Asked(forms=("int8",)), source)
    assert before == {path: path.read_bytes() for path in before}
    exact, rounded = (modernbert.load(source, runtime=it).embed(TEXTS) for it in ("torch", "int8"))
    assert 0.995 < torch.cosine_similarity(exact, rounded).min() < 1
    lively_one = made(None)
    with torch.no_grad():
        lively_one.encoder.final_norm.weight.mul_(2)
    lively_one.save(other)
    shutil.copy(other / "model.safetensors", source)
    with pytest.raises(CheckpointError, match=r"holds weights that export\.json is not of: export"):
        modernbert.load(source, runtime="int8")
    stale = source / PLACES["openvino"]
    stale.parent.mkdir()
    stale.touch()
    export_model(str(source), modernbert.load(source), TEXTS, Asked(forms=("int8",)), source)
    assert modernbert.load(source, runtime="int8").embed(TEXTS).shape == (len(TEXTS), 32)
    assert not stale.exists()


def test_another_head_does_not_take_the_place_of_graphs_of_the_same_weights(tmp_path):
    source = tmp_path / "model"
    made(HEADS["sequence"]).save(source)
    asked = Asked(forms=("int8",), least_cosine=0.5)
    export_model(str(source), modernbert.load(source), TEXTS, asked, source)
    headless = modernbert.load(source)
    headless.model.head = None
    with pytest.raises(ConfigError, match="holds an export of another model or head: give a new"):
        export_model(str(source), headless, TEXTS, asked, source)
    assert (source / PLACES["int8"]).is_file()


def test_a_broken_record_stops_neither_the_weights_nor_a_new_export(tmp_path):
    source = tmp_path / "model"
    made(None).save(source)
    (source / "export.json").write_text("[]")
    model = modernbert.load(source)
    with pytest.raises(CheckpointError, match=r"export\.json cannot be read"):
        modernbert.load(source, runtime="int8")
    export_model(str(source), model, TEXTS, Asked(forms=("int8",)), source)
    assert modernbert.load(source, runtime="int8").embed(TEXTS).shape == (len(TEXTS), 32)


def test_a_tokenizer_that_was_changed_since_is_refused(tmp_path):
    source, out = tmp_path / "model", tmp_path / "out"
    made(None).save(source)
    export_model(str(source), modernbert.load(source), TEXTS, Asked(forms=("int8",)), out)
    tokenizer = json.loads((out / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    first, second = [word for word in words if word.isalpha()][:2]
    words[first], words[second] = words[second], words[first]
    (out / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not what was exported"):
        modernbert.load(out, runtime="int8")
    told = json.loads((out / "export.json").read_text())
    del told["around"]
    (out / "export.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=r"export\.json has no digest of a tokenizer: export"):
        modernbert.load(out, runtime="int8")


def test_what_is_not_installed_is_said_before_anything_is_written(tmp_path, monkeypatch):
    made(None).save(tmp_path / "model")
    model, out = modernbert.load(tmp_path / "model"), tmp_path / "out"
    monkeypatch.setattr(export_module, "find_spec", lambda name: None if name == "nncf" else name)
    asked = Asked(forms=("int8", "openvino-int8"))
    with pytest.raises(MachineError, match=r"^this export needs nncf: pip install 'modernbert\[ex"):
        export_model(str(tmp_path / "model"), model, TEXTS, asked, out)
    assert not out.exists()


def test_no_text_is_padded_to_more_than_twice_its_length_for_a_graph():
    grids, model = [], lively(config_of(num_layers=2)).eval()

    def session(given):
        ids, mask = (torch.from_numpy(given[name]) for name in ("input_ids", "attention_mask"))
        grids.append(ids.shape)
        with torch.no_grad():
            return [found.numpy() for found in Graph(model, is_for_int8=False)(ids, mask)]

    export = Export(model="", encoder=model.config, head=None)
    batch = pack(documents_of((5, 300, 70, 140, 64, 299)))
    with torch.no_grad():
        exact = model(batch)
    assert torch.allclose(ExportedModel(export, session)(batch), exact, atol=1e-5)
    assert grids == [(2, 300), (2, 140), (2, 64)]


@pytest.mark.slow
def test_a_form_that_is_refused_does_not_stop_the_others(tmp_path):
    needs("onnx")
    made(None).save(tmp_path / "model")
    model, out = modernbert.load(tmp_path / "model"), tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".partial-of-a-killed-one").mkdir()
    asked = Asked(forms=("int8", "onnx"), least_cosine=0.9999999)
    with pytest.raises(RefusedError, match=r"^int8 was not kept.*; .*/out has onnx$") as refused:
        export_model(str(tmp_path / "model"), model, TEXTS, asked, out)
    assert {*refused.value.kept.graphs} == {"onnx"}
    assert lines_of(refused.value.kept).splitlines()[1].startswith("onnx ")
    assert set(read_export(out).graphs) == {"onnx"}


@pytest.mark.slow
def test_options_are_read_in_eight_bits_by_openvino(tmp_path):
    needs("openvino-int8")
    source, out = tmp_path / "model", tmp_path / "out"
    made(HEADS["choice"], num_layers=2).save(source)
    asked = Asked(forms=("openvino-int8",), least_cosine=0.9)
    # NNCF takes its scales from half of them: of a handful they would follow from chance.
    export_model(str(source), modernbert.load(source), own_texts().texts[::2], asked, out)
    assert read_export(out).graphs["openvino-int8"].proof.cosine > 0.95
    opened = modernbert.load(out, runtime="openvino-int8")
    batch = pack([[1, 5, 9, 7, 2], [1, 2]])
    assert opened(batch).shape == (2, 1)


def test_undecided_scores_are_held_against_what_is_usual():
    def cosines(ours, theirs, *, is_vector):
        layout = Layout.of([1] * len(ours))
        batch = PackedBatch(torch.zeros(len(ours), dtype=torch.long), layout)
        products = proving._products(torch.tensor(ours), torch.tensor(theirs), batch)
        return proving._cosines(products, is_vector=is_vector)

    ours = [[3.0, -3.0], [0.01, 0.0]]
    theirs = [[3.0, -3.0], [0.0, 0.01]]
    assert cosines(ours, theirs, is_vector=True).tolist() == pytest.approx([1, 0])
    assert cosines(ours, theirs, is_vector=False).min() > 0.9999
    wrong = [[3.0, -3.0], [-3.0, 3.0]]
    assert cosines(ours, wrong, is_vector=False)[1] < 0.8
    decided = torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    off = cosines(decided.tolist(), (decided + torch.tensor([0.3, 0.3])).tolist(), is_vector=False)
    plain, scored = (made(HEADS[name]) for name in ("none", "sequence"))
    assert off.max() < proving.usual_cosine(scored, "int8") == 0.998
    assert proving.usual_cosine(plain, "int8") == 0.995
    assert proving.usual_cosine(scored, "onnx") == 0.99999


def test_eight_bits_that_break_their_bound_are_not_kept(tmp_path):
    made(None).save(tmp_path / "model")
    model, out = modernbert.load(tmp_path / "model"), tmp_path / "out"
    asked = Asked(forms=("int8",), least_cosine=0.9999999)
    with pytest.raises(CheckpointError, match="int8 was not kept: the cosine to the model is"):
        export_model(str(tmp_path / "model"), model, TEXTS, asked, out)
    assert not out.exists()

    def metric(given):
        return "accuracy", 0.9 if given.runtime == "torch" else 0.8

    asked = Asked(forms=("int8",))
    with pytest.raises(CheckpointError, match=r"accuracy falls by 0\.1000, and may by 0\.005"):
        export_model(str(tmp_path / "model"), model, TEXTS, asked, out, metric)
    export_model(str(tmp_path / "model"), model, TEXTS, asked, out)
    path = out / PLACES["int8"]
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    with pytest.raises(CheckpointError, match="is not what was exported: copy it again"):
        modernbert.load(out, runtime="int8")
    other = tmp_path / "wider"
    made(None, dim=64).save(other)
    wider = modernbert.load(other)
    with pytest.raises(ConfigError, match="holds an export of another model"):
        export_model(str(other), wider, TEXTS, asked, out)


@pytest.mark.slow
def test_weights_too_large_for_one_file_lie_beside_the_graph(tmp_path, monkeypatch):
    needs("onnx", "openvino")
    monkeypatch.setattr(writing, "_LARGEST", 1000)
    source, out = tmp_path / "source", tmp_path / "out"
    model = made(None, num_layers=2)
    model.save(source)
    asked = Asked(forms=("onnx", "onnx-int8", "openvino"), least_cosine=0.9)
    export_model(str(source), modernbert.load(source), own_texts().texts, asked, out)
    found = read_export(out).graphs
    beside = out / "onnx/model.onnx_data"
    assert [*found["onnx"].files] == ["onnx/model.onnx", "onnx/model.onnx_data"]
    assert beside.stat().st_size > 10 * (out / "onnx/model.onnx").stat().st_size / 11
    assert [*found["onnx-int8"].files] == ["onnx/model_quantized.onnx"]
    for runtime in ("onnx", "openvino"):
        vectors = modernbert.load(out, runtime=runtime).embed(TEXTS[1:3])
        np.testing.assert_allclose(vectors, model.embed(TEXTS[1:3]), atol=1e-5)
    beside.write_bytes(beside.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match="onnx_data is not what was exported: copy it again"):
        modernbert.load(out, runtime="onnx")


@pytest.mark.slow
def test_what_was_changed_or_is_missing_is_refused(exported, tmp_path):
    needs("onnx")
    _, whole = exported("none", "onnx-int8")
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    with pytest.raises(CheckpointError, match="was exported, and no weights: name one with --ru"):
        modernbert.load(out)
    with pytest.raises(CheckpointError, match="holds no graph 'openvino'"):
        modernbert.load(out, runtime="openvino")
    path = out / PLACES["onnx-int8"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not what was exported: copy it again"):
        modernbert.load(out, runtime="onnx-int8")
    path.unlink()
    with pytest.raises(CheckpointError, match="is missing: export the model anew"):
        modernbert.load(out, runtime="onnx-int8")
    told = json.loads((out / "export.json").read_text())
    told["graphs"]["onnx-int8"]["proof"]["cosine"] = np.float64("nan").item()
    (out / "export.json").write_text(json.dumps(told))
    shutil.copy(whole / PLACES["onnx-int8"], path)
    with pytest.raises(CheckpointError, match="that is not to be used: the cosine to the model is"):
        modernbert.load(out, runtime="onnx-int8")
