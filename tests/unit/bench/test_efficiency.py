import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from modernbert.base.errors import ConfigError, MachineError
from modernbert.batch import Layout, PackedBatch
from modernbert.bench import efficiency
from modernbert.bench.contest import AGREEMENT, likeness
from modernbert.bench.efficiency_case import EfficiencyCase, Work, work_of
from modernbert.bench.encoding import answers, drawn
from modernbert.bench.folders import make, stirred
from modernbert.bench.line_up import members
from modernbert.bench.runtimes import LOCAL, OURS, PRODUCTS, RUNTIMES, Target
from modernbert.bench.runtimes.kinds import rows_of
from modernbert.bench.shapes import OWN, SHAPES
from modernbert.bench.sides import agreement, timed
from modernbert.bench.worker import Failure, Worker
from modernbert.cli.main import run
from modernbert.infer.encode import encode
from modernbert.model import folder
from modernbert.model.init import build
from modernbert.model.int8 import round_matrices
from modernbert.model.presets import PRESETS
from modernbert.model.stored import headers

SMALL = Work(((20, 24), (30,)), "float32", "cpu")
CPU = Target("float32", "cpu")
needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="needs transformers"
)


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_compares_runtimes_that_agree(precision, tmp_path):
    asked = ["--case", "queries", "--documents", "3", "--rounds", "2", "--device", "cpu"]
    given = [*asked, "--precision", precision, "--models", "tiny", "bert-tiny"]
    names = ["transformers", PRODUCTS]
    out = ["--out", str(tmp_path)]
    assert run(["bench", "efficiency", *given, "--runtimes", *names, *out]) == 0
    row = json.loads((tmp_path / "efficiency.jsonl").read_text())
    ours, other = (row["models"][name] for name in ("tiny", "bert-tiny"))
    assert set(ours["runtimes"]) == {OURS, *names}
    assert set(other["runtimes"]) == {"transformers"}
    assert ours["runtimes"][OURS]["ours_is_faster"] == 1
    assert 0 < ours["runtimes"]["transformers"]["difference"] < AGREEMENT[precision]
    found = [*ours["runtimes"].values(), *other["runtimes"].values()]
    assert all(each["tokens_per_second"] > 0 for each in found)
    assert all(each["speed_quartiles"][0] <= each["speed_quartiles"][1] for each in found)
    assert (ours["share_of_products_rate"] > 0, other["share_of_products_rate"]) == (True, None)
    assert other["weights"] > 1e6
    assert (row["documents"], row["gpu"], row["texts"]) == (3, None, None)


@pytest.mark.slow
@needs_transformers
def test_each_length_has_a_row_and_the_largest_batch_is_searched(tmp_path):
    asked = ["--models", "tiny", "--rounds", "2", "--documents", "2", "--runtimes", OURS]
    largest = ["--largest-batch", "--largest-batch-limit", "1", "--device", "cpu"]
    out = ["--out", str(tmp_path)]
    assert run(["bench", "efficiency", *asked, *largest, "--lengths", "16", "40", *out]) == 0
    rows = list(map(json.loads, (tmp_path / "efficiency.jsonl").read_text().splitlines()))
    assert [(row["case"], row["length"], row["tokens"]) for row in rows] == [
        ("fixed", 16, 32),
        ("fixed", 40, 80),
    ]
    found = rows[0]["models"]["tiny"]["runtimes"][OURS]["largest_batch"]
    assert found == {"documents": 1, "stopped_by": "limit", "too_many": None, "reason": None}
    assert rows[0]["largest_batch_bytes"] > 1 << 30


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize("model", [name for name in SHAPES if name.endswith("tiny")])
def test_every_family_is_opened_by_all_who_take_folders(model, tmp_path):
    assert make(model, tmp_path / model, graph=False) > 1e6
    ids = [torch.arange(100, 100 + length) for length in (7, 3)]
    taken = ["transformers", "transformers eager"]
    taken += ["sentence-transformers"] if find_spec("sentence_transformers") else []
    taken += [OURS] if SHAPES[model].kind == OWN else []
    found = [rows_of(RUNTIMES[name].load(tmp_path / model, CPU)(ids), ids) for name in taken]
    assert found[0].shape == (10, 128)
    for other in found[1:]:
        assert (found[0] - other).abs().max() < 1e-4


def test_local_layers_are_those_of_the_model(tmp_path):
    folder.write(build(PRESETS["tiny"], 0, None), tmp_path)
    encode = RUNTIMES[LOCAL].load(tmp_path, CPU)
    ids = torch.arange(100, 400)
    changed = ids.clone()
    changed[0] = 500
    difference = (encode([ids]) - encode([changed])).abs().amax(1)
    # Two of its four layers are local, and a token sees 64 on each side.
    assert PRESETS["tiny"].num_layers == 4
    assert difference[128] > 0
    assert difference[129:].max() == 0


@pytest.mark.parametrize("model", [name for name in SHAPES if SHAPES[name].sizes])
def test_families_stand_beside_the_modernbert_of_their_size(model):
    shape = SHAPES[model]
    width = shape.sizes["hidden_size"]
    assert PRESETS[shape.beside].dim == width
    assert width == 64 * shape.sizes["num_attention_heads"]


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize(
    ("model", "millions"),
    [
        *(("bert-base", 110), ("roberta-base", 125), ("deberta-v3-base", 183)),
        *(("nomic-bert-base", 137), ("gte-base", 137), ("bert-large", 335)),
        *(("roberta-large", 355), ("deberta-v3-large", 434), ("gte-large", 434)),
    ],
)
def test_families_have_as_many_weights_as_was_published(model, millions):
    from transformers import AutoConfig, AutoModel

    with torch.device("meta"):
        made = AutoModel.from_config(
            AutoConfig.for_model(SHAPES[model].kind, **SHAPES[model].sizes)
        )
    assert abs(made.num_parameters() / 1e6 - millions) < 1


def test_what_would_be_ignored_or_lost_is_refused_first(tmp_path, monkeypatch):
    monkeypatch.setattr(efficiency, "measure", lambda *given: pytest.fail("measured in vain"))
    (tmp_path / "efficiency.jsonl").mkdir()
    with pytest.raises(ConfigError, match="--lengths makes documents of its own: leave --case"):
        run(["bench", "efficiency", "--lengths", "16", "--case", "long"])
    with pytest.raises(MachineError, match=r"efficiency\.jsonl"):
        run(["bench", "efficiency", "--out", str(tmp_path)])
    with pytest.raises(ConfigError, match="precision is int8 and device cuda: 8 bits are mult"):
        EfficiencyCase(precision="int8", device="cuda")
    with pytest.raises(ConfigError, match="give limit and minutes above 0"):
        EfficiencyCase(case="short-fixed", largest_batch_minutes=float("nan"))
    with pytest.raises(ConfigError, match=r"gib is 2\.0, and no largest batch is searched: give"):
        EfficiencyCase(case="short-fixed", largest_batch_gib=2.0)


def test_a_length_that_no_model_reads_is_refused_before_any_is_measured(monkeypatch):
    monkeypatch.setattr(efficiency, "measure", lambda *given: pytest.fail("measured in vain"))
    case = EfficiencyCase(models=("bert-base",), device="cpu")
    with pytest.raises(ConfigError, match="bert-base: it reads 512 tokens"):
        next(efficiency.curve(case, (16, 1024)))
    with pytest.raises(ConfigError, match="lengths has 0: a document has 1 token or more"):
        next(efficiency.curve(case, (16, 0)))


def test_no_more_memory_is_given_than_there_is():
    asked = EfficiencyCase(
        case="short-fixed", largest_batch=True, largest_batch_gib=1e6, device="cpu"
    )
    with pytest.raises(ConfigError, match=r"gib is 1e\+06, and there are .* GiB of memory"):
        efficiency.measure(asked)


def test_a_measurement_that_fails_leaves_nothing(tmp_path):
    out = tmp_path / "rows"
    with pytest.raises(ConfigError, match="there is no model 'nobody'"):
        run(["bench", "efficiency", "--models", "nobody", "--out", str(out)])
    assert not out.exists()


def test_real_texts_give_their_lengths(tmp_path):
    texts = tmp_path / "a.txt"
    texts.write_text("one two three")
    with pytest.raises(ConfigError, match="the case text takes both, and no other case does"):
        efficiency.measure(EfficiencyCase(case="text", device="cpu"))
    with pytest.raises(ConfigError, match="the case text takes both, and no other case does"):
        efficiency.measure(EfficiencyCase(device="cpu"), texts=texts)
    with pytest.raises(ConfigError, match="the case text takes both, and no other case does"):
        efficiency.measure(EfficiencyCase(device="cpu"), tokenizer=tmp_path)
    case = EfficiencyCase(case="text", device="cpu")
    assert work_of(case, "cpu", [9, 4]).batches == ((4, 9),)


@pytest.mark.slow
@needs_transformers
def test_vllm_is_given_ids_and_gives_every_token(tmp_path, monkeypatch):
    folder.write(build(PRESETS["tiny"], 0, None), tmp_path)

    class Engine:
        def __init__(self, **settings):
            assert settings["runner"] == "pooling"
            assert "layers.0.attn.Wqkv.weight" in headers(Path(settings["model"]))

        def encode(self, prompts, *, pooling_task, use_tqdm):
            assert (pooling_task, use_tqdm) == ("token_embed", False)
            lengths = [len(prompt["prompt_token_ids"]) for prompt in prompts]
            return [
                SimpleNamespace(outputs=SimpleNamespace(data=torch.full((length, 2), length * 1.0)))
                for length in lengths
            ]

    fake, config = ModuleType("vllm"), ModuleType("vllm.config")
    fake.LLM, config.PoolerConfig = Engine, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "vllm.config", config)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    ids = [torch.arange(3), torch.arange(2)]
    found = rows_of(RUNTIMES["vllm"].load(tmp_path, Target("bfloat16", "cuda"))(ids), ids)
    assert found[:, 0].tolist() == [3.0] * 3 + [2.0] * 2


@pytest.mark.slow
@needs_transformers
def test_packed_encoders_changes_transformers_model_in_place(tmp_path, monkeypatch):
    changed = []
    fake = ModuleType("packed_encoders")
    fake.pack = changed.append
    monkeypatch.setitem(sys.modules, "packed_encoders", fake)
    folder.write(build(PRESETS["tiny"], 0, None), tmp_path)
    encode = RUNTIMES["packed-encoders"].load(tmp_path, Target("bfloat16", "cpu"))
    assert encode([torch.arange(3)]).shape == (1, 3, 128)
    assert [type(model).__name__ for model in changed] == ["ModernBertModel"]


# Looked for, not imported: they belong into processes of their own.
@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("onnxruntime", "openvino"))), reason="needs the extra 'bench'"
)
def test_every_other_runtime_gives_the_same_vectors():
    case = EfficiencyCase(
        case="queries",
        models=("tiny",),
        documents=3,
        rounds=2,
        device="cpu",
        runtimes=("onnxruntime", "openvino f32"),
    )
    found = efficiency.measure(case)["models"]["tiny"]["runtimes"]
    assert [name for name, facts in found.items() if "failed" in facts] == []


@pytest.mark.slow
def test_a_runtime_that_dies_fails_alone(tmp_path):
    folder.write(build(PRESETS["tiny"], 0, None), tmp_path)
    with Worker(partial(answers, OURS, tmp_path, SMALL), threads=1) as worker:
        assert len(worker.ask("rows")) == 2
        worker._process.kill()
        worker._process.join()
        assert worker.ask("seconds") == Failure("its process ended with status -9")
        facts = {}
        assert timed(worker, "transformers", facts, is_needed=False) is None
        assert facts == {"failed": "while it was timed, its process ended with status -9"}
        with pytest.raises(MachineError, match="modernbert failed while it was timed"):
            timed(worker, OURS, {}, is_needed=True)


def fails_far_away():
    raise RuntimeError("Exception from infer_request.cpp:224:\nof a check\nbad allocation\n")


@pytest.mark.slow
def test_a_failure_says_where_and_what():
    with Worker(fails_far_away, threads=1) as worker:
        found = worker.ask("rows")
    assert found == Failure("RuntimeError: Exception from infer_request.cpp:224: bad allocation")


@pytest.mark.slow
def test_a_runtime_that_cannot_start_says_why(tmp_path):
    with Worker(partial(answers, OURS, tmp_path / "absent", SMALL), threads=1) as worker:
        found = worker.ask("rows")
    assert isinstance(found, Failure)
    assert "CheckpointError" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_measurement_leaves_nothing(number, status, tmp_path):
    asked = ["--case", "queries", "--models", "tiny", "--rounds", "1000000", "--runtimes"]
    command = "from modernbert.cli.main import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", command, "bench", "efficiency", *asked, "transformers"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    while not list(tmp_path.glob("*/tiny/model.safetensors")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.killpg(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == status
    assert b"Traceback" not in out + err
    assert b"leaked" not in err
    assert not list(tmp_path.glob("*/tiny/model.safetensors"))


def test_vectors_that_differ_are_not_timed():
    ours = [np.zeros((2, 3), dtype=np.float32)]
    for wrong in (0.1, np.nan):
        found = agreement([ours[0] + np.float32(wrong)], ours, 1e-3)
        assert found["failed"].startswith("its vectors differ by")
    assert agreement(ours, ours, 1e-3) == {"largest_difference": 0.0}
    assert agreement(Failure("no memory"), ours, 1e-3) == {"failed": "no memory"}


def encoded(edit=None, **fields):
    """Return what a small model with layers that matter says, faulty or not."""
    config = replace(PRESETS["tiny"], **fields)
    model = build(config, 0, None).eval()
    model.load_state_dict(stirred(build(PRESETS["tiny"], 0, None)).state_dict())
    if edit:
        with torch.no_grad():
            edit(model)
    documents = drawn(((300, 200),))[0]
    layout = Layout.of([len(each) for each in documents])
    with torch.inference_mode():
        found = encode(model.encoder, PackedBatch(torch.cat(documents), layout))
    return [found.float().numpy()]


def test_rounding_is_told_from_faults():
    right = encoded()
    rounded = {
        "bfloat16": encoded(lambda model: model.encoder.bfloat16()),
        "int8": encoded(round_matrices),
    }
    for precision, rows in rounded.items():
        found = likeness(rows, right, AGREEMENT[precision])
        assert AGREEMENT[precision] / 20 < found["difference"] < AGREEMENT[precision] / 2
        # What is taken for float32 and is not.
        assert "failed" in likeness(rows, right, AGREEMENT["float32"])
    faults = {
        "window": encoded(local_window=64),
        "local angles": encoded(local_rope_theta=160_000.0),
        "global angles": encoded(global_rope_theta=10_000.0),
        "a layer": encoded(lambda model: model.encoder.layers[1].mlp.Wo.weight.zero_()),
    }
    for rows in faults.values():
        said = likeness(rows, right, max(AGREEMENT.values()))["failed"]
        assert said.startswith("its vectors differ by")


def members_of(**fields):
    case = EfficiencyCase(**fields)
    return members(case, work_of(case, "cpu"))


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ConfigError, match="there is no model 'tinny': did you mean tiny"):
        members_of(models=("tinny",))
    with pytest.raises(ConfigError, match="float32 on cpu: did you mean onnxruntime"):
        members_of(runtimes=("onxruntime",))
    with pytest.raises(ConfigError, match="'onnxruntime' for bfloat16 on cpu"):
        members_of(precision="bfloat16", runtimes=("onnxruntime",))
    with pytest.raises(ConfigError, match="there is no runtime 'vllm' for float32 on cpu"):
        members_of(runtimes=("vllm",))
    with pytest.raises(ConfigError, match="no model is named: leave --models out"):
        members_of(models=())
    with pytest.raises(ConfigError, match="no model can encode these documents: tiny: it reads"):
        members_of(models=("tiny",), case="fixed", length=100_000, documents=1)


def test_the_modernbert_of_a_size_runs_beside_other_families():
    found = members_of(models=("bert-base", "gte-base"), runtimes=("transformers",))
    assert found == {
        "modernbert-base": (OURS,),
        "bert-base": ("transformers",),
        "gte-base": ("transformers",),
    }
    every = members_of(models=("tiny",))["tiny"]
    assert LOCAL not in every
    assert {OURS, PRODUCTS, "transformers eager", "openvino f32"} <= set(every)


def test_what_reads_too_little_is_left_out():
    found = members_of(models=("bert-base", "gte-base"), case="long-fixed")
    assert found["bert-base"] == "it reads 512 tokens, the longest document has 8192"
    assert "transformers" in found["gte-base"]
    with pytest.raises(ConfigError, match="no model can encode these documents: bert-base: it"):
        members_of(models=("bert-base",), case="long-fixed")


def test_the_largest_batch_is_one_of_equal_documents():
    with pytest.raises(ConfigError, match="documents of short differ in length"):
        efficiency.measure(EfficiencyCase(largest_batch=True, device="cpu"))


def test_our_rate_counts_attention():
    speeds = {OURS: {"tokens_per_second": 500.0}, PRODUCTS: {"tokens_per_second": 600.0}}
    short, long = (Work((lengths,), "float32", "cpu") for lengths in ((24,) * 8, (8192,)))
    shares = [efficiency._share("modernbert-base", speeds, work) for work in (short, long)]
    assert 500 / 600 < shares[0] < shares[1]
    assert efficiency._share("bert-base", speeds, short) is None
