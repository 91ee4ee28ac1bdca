import json

import pytest
import torch

from modernbert.base.errors import CheckpointError
from modernbert.cli.convert import _check_same, judge
from modernbert.cli.main import main
from modernbert.infer.agreement import Agreement, compare, documents
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model.config import HeadConfig
from tests.corpora import tokenizer
from tests.flexbert import composer, model_of, saved, settings_of

NAN = float("nan")


@pytest.fixture
def run(capsys):
    """Run a command; return its status and the lines it printed."""

    def command(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        return caught.value.code or 0, said.out.splitlines(), said.err

    return command


def checkpoint(folder, **fields):
    model = model_of(**fields)
    content = composer(model, settings_of(model.config), tokenizer())
    return saved(content, folder / "ep0.pt"), model


def test_a_composer_file_becomes_a_folder_that_transformers_agrees_with(run, tmp_path):
    path, model = checkpoint(tmp_path)
    status, said, _ = run("convert", path, tmp_path / "new")
    assert status == 0
    assert said[0] == "4 layers, 53.1k parameters in float32, head masked_lm"
    assert said[1].startswith("read back: largest difference 0, the same largest number in ")
    assert said[1].endswith(", equal bit for bit")
    assert said[2].startswith("vectors of texts: largest difference 0, ")
    assert said[3].startswith("transformers ")
    again = load(tmp_path / "new")
    for name, weight in model.named_parameters():
        assert torch.equal(weight, again.model.get_parameter(name)), name


def test_the_format_of_numbers_can_be_changed(run, tmp_path):
    path, _ = checkpoint(tmp_path)
    status, said, _ = run("convert", path, tmp_path / "new", "--dtype", "bfloat16")
    assert status == 0
    assert "in bfloat16" in said[0]
    assert said[1].endswith("equal bit for bit")
    assert said[3].startswith("the source's own float32: largest difference 0.")
    assert said[4].startswith("transformers ")
    assert {x.dtype for x in load(tmp_path / "new").parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "head",
    [
        HeadConfig(kind="sequence", labels=("a", "b", "c")),
        HeadConfig(kind="sequence", labels=("score",), pooling="cls", problem="regression"),
        HeadConfig(kind="tokens", labels=("O", "B")),
        HeadConfig(kind="spans"),
        HeadConfig(kind="choice"),
        None,
    ],
)
def test_every_head_is_kept_and_asked_of_transformers(run, tmp_path, head):
    Pretrained(model_of(head=head), tokenizer()).save(tmp_path / "old")
    status, said, err = run("convert", tmp_path / "old", tmp_path / "new")
    assert (status, len(said)) == (0, 3 if head else 4), err
    again = load(tmp_path / "new")
    assert (again.head.config if again.head else None) == head


def test_the_head_can_be_left_out(run, tmp_path):
    path, _ = checkpoint(tmp_path)
    status, said, _ = run("convert", path, tmp_path / "new", "--headless")
    assert status == 0
    assert said[0].endswith("no head")
    keys = json.loads((tmp_path / "new" / "config.json").read_text())
    assert keys["architectures"] == ["ModernBertModel"]


@pytest.mark.filterwarnings("ignore:transformers 4 cannot express")
def test_layers_of_one_kind(run, tmp_path):
    model = model_of()
    settings = settings_of(model.config) | {"global_attn_every_n_layers": -1}
    path = saved(composer(model, settings, tokenizer()), tmp_path / "ep0.pt")
    status, said, err = run("convert", path, tmp_path / "new")
    assert (status, len(said)) == (0, 4), err


def test_a_folder_that_is_there_is_left_alone(run, tmp_path):
    path, _ = checkpoint(tmp_path)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.txt").write_text("years")
    status, _, said = run("convert", path, tmp_path / "new")
    assert status == 2
    assert said == f"error: {tmp_path / 'new'} is there already: give a new folder for the model\n"
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["thesis.txt"]
    status, _, said = run("convert", path, path)
    assert (status, "ep0.pt is there already" in said) == (2, True)


@pytest.mark.parametrize("largest", [1e-9, NAN])
def test_a_folder_that_says_something_else_is_an_error(tmp_path, largest):
    with pytest.raises(CheckpointError, match="does not give what its source gives"):
        _check_same(tmp_path, "read back", Agreement(largest, 3, 3))


def test_transformers_may_be_off_by_rounding_and_no_more(tmp_path, capsys):
    exact = [torch.arange(12.0).view(3, 4).double()]
    single = [exact[0] + 2e-6]
    judge(tmp_path, "them", [exact[0] - 3e-6], single, exact)
    assert capsys.readouterr().out == (
        "them: largest difference 3e-06, the same largest number in 3 of 3 rows; "
        "rounding makes 2e-06\n"
    )
    judge(tmp_path, "them", [exact[0] - 3e-6], exact, exact)
    assert capsys.readouterr().out.endswith("rounding makes 1.3e-06\n"), "the floor"
    for off in (1e-4, NAN):
        with pytest.raises(CheckpointError, match="and them reads another model in it"):
            judge(tmp_path, "them", [exact[0] + off], single, exact)


def test_a_wrong_theta_is_seen(run, tmp_path):
    """What the gate is for: transformers reads another theta than we do."""
    from modernbert.bridge.outputs import outputs
    from modernbert.infer import agreement

    Pretrained(model_of(), tokenizer()).save(tmp_path / "new")
    keys = json.loads((tmp_path / "new" / "config.json").read_text())
    keys["rope_parameters"]["sliding_attention"]["rope_theta"] = 160_000.0
    (tmp_path / "new" / "config.json").write_text(json.dumps(keys))
    model = Pretrained(model_of(), tokenizer()).eval()
    given = documents(model.tokenizer, 8, 64)
    theirs = outputs(tmp_path / "new", "masked_lm", given)
    single = agreement.outputs(model, given)
    exact = agreement.outputs(model.double(), given)
    with pytest.raises(CheckpointError, match="reads another model in it"):
        judge(tmp_path, "transformers", theirs, single, exact)


def test_a_folder_that_transformers_does_not_open_is_an_error(run, tmp_path):
    from modernbert.cli.convert import _check_transformers

    (tmp_path / "config.json").write_text("{}")
    model = Pretrained(model_of(), tokenizer())
    with pytest.raises(CheckpointError, match=r"does not open it \(.+\): do not use it there, and"):
        _check_transformers(tmp_path, model, [[1, 5, 2]])


@pytest.mark.parametrize("longest", [8, 64, 8192])
def test_documents_fit_and_one_is_longer_than_the_window(longest):
    found = documents(tokenizer(), 8, longest)
    assert all(len(ids) <= longest for ids in found)
    assert all((ids[0], ids[-1]) == (tokenizer().cls_id, tokenizer().sep_id) for ids in found)
    assert max(map(len, found)) == min(longest, 24)
    assert any(tokenizer().mask_id in ids for ids in found)


def test_differences_are_counted():
    one = [torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[2.0, 1.0]])]
    other = [torch.tensor([[0.0, 1.0], [0.5, 0.75]]), torch.tensor([[2.0, 1.0]])]
    assert compare(one, other) == Agreement(0.75, 2, 3)
    assert compare(one, one) == Agreement(0.0, 3, 3)


def test_inspect_for_a_person_and_for_a_program(run, tmp_path, monkeypatch):
    path, _ = checkpoint(tmp_path)
    run("convert", path, tmp_path / "new")
    monkeypatch.setenv("COLUMNS", "60")
    status, said, _ = run("inspect", tmp_path / "new")
    assert status == 0
    assert all(len(line) <= 60 for line in said)
    shown = "\n".join(said)
    for words in (
        "53.1k (53,056)",
        "float32",
        "2 heads of 16",
        "4, 2 global and 2 local",
        "4 tokens to each side",
        "160000 global, 10000 local",
        "64 tokens",
        "masked_lm",
        "512 ids (unk 0, cls",
        "transformers 5: yes",
        "vLLM: no, it has no",
    ):
        assert words in shown, words
    status, said, _ = run("inspect", tmp_path / "new", "--json")
    found = json.loads("\n".join(said))
    assert (status, found["config"]["dim"], found["head"]["kind"]) == (0, 32, "masked_lm")
    assert found["opens"][1] == {"tool": "transformers 5", "verdict": "yes", "why": ""}


def test_inspect_of_files(run, tmp_path):
    path, model = checkpoint(tmp_path)
    status, said, _ = run("inspect", path)
    assert status == 0
    assert said[-1] == "nothing yet, it is a pickle: `modernbert convert` makes a folder of it"
    bare = saved(dict(composer(model)["state"]["model"]), tmp_path / "bare.pt")
    status, said, _ = run("inspect", bare)
    assert status == 0
    assert "not known: " in "\n".join(said)


def test_inspect_shows_labels_but_not_hundreds(run, tmp_path):
    head = HeadConfig(kind="sequence", labels=tuple(f"l{i}" for i in range(9)), pooling="cls")
    Pretrained(model_of(head=head), tokenizer()).save(tmp_path / "new")
    status, said, _ = run("inspect", tmp_path / "new")
    shown = " ".join(" ".join(said).split())
    assert status == 0
    assert "9 labels (l0, l1, l2, l3, l4, l5, l6, l7, ...), single_label" in shown
    assert "pooling cls" in shown
