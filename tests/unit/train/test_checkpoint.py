import json
import shutil

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from modernbert.base.errors import CheckpointError
from modernbert.base.records import to_plain
from modernbert.batch import pack
from modernbert.model import folder as model_folder
from modernbert.model.init import build
from modernbert.model.sentence_config import Pool
from modernbert.model.sentence_reader import read_sentence
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import checkpoint
from modernbert.train.checkpoint import Keep, TrainerState
from modernbert.train.feed import Progress
from tests.nets import documents_of
from tests.parity.tolerance import assert_as_accurate
from tests.runs import MODEL


@pytest.fixture
def saved(finished, tmp_path):
    """A copy of the newest checkpoint, to be damaged."""
    newest = checkpoint.found(finished.folder / "checkpoints")[-1]
    return shutil.copytree(newest, tmp_path / newest.name)


def fresh():
    model = build(MODEL, 0)
    groups = decay_groups(model.named_parameters(), 0.01)
    return model, StableAdamW(groups, lr=1e-3)


def test_transformers_opens_every_checkpoint_and_gives_our_logits(finished):
    (ids,) = documents_of([60], vocab=MODEL.vocab_size)
    for place in [*checkpoint.found(finished.folder / "checkpoints"), finished.folder / "model"]:
        theirs = AutoModelForMaskedLM.from_pretrained(place, attn_implementation="eager").eval()
        ours = model_folder.read(place).eval()
        with torch.no_grad():
            logits = ours(pack([ids]))
            naive = theirs(torch.tensor([ids])).logits[0]
            truth = theirs.double()(torch.tensor([ids])).logits[0]
        assert_as_accurate(logits, naive, truth)
        assert AutoTokenizer.from_pretrained(place).mask_token == "[MASK]"


def test_a_checkpoint_says_the_positions_it_was_trained_for(finished):
    thetas = [
        model_folder.read_config(place).global_rope_theta
        for place in checkpoint.found(finished.folder / "checkpoints")
    ]
    assert thetas == [10_000.0, *[160_000.0] * (len(thetas) - 1)]


def test_every_checkpoint_says_how_texts_are_pooled(finished):
    for place in [*checkpoint.found(finished.folder / "checkpoints"), finished.folder / "model"]:
        assert (place / "modules.json").is_file()
        config = read_sentence(place, model_folder.read(place)).config
        assert config.steps == (Pool(("mean",)),)
        assert config.max_length == model_folder.read_config(place).max_length


def test_nothing_is_pickled(finished):
    files = [path for path in finished.folder.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files if path.parent.name != "tensorboard"}
    assert kinds <= {".json", ".jsonl", ".safetensors", ".md", ""}


def test_moments_and_place_come_back(saved, finished):
    model, optimizer = fresh()
    checkpoint.restore_moments(saved, model, optimizer)
    ours = dict(model.named_parameters())
    for name, weight in finished.model.named_parameters():
        for moment in ("exp_avg", "exp_avg_sq"):
            theirs = finished.optimizer.state[weight][moment]
            assert torch.equal(optimizer.state[ours[name]][moment], theirs)
    steps = {group["step"] for group in optimizer.param_groups}
    assert steps == {finished.progress.step}
    assert checkpoint.read_state(saved).progress == finished.progress


def test_ends_of_phases_stay_and_the_newest_others(finished, tmp_path):
    model, optimizer = fresh()
    for step in range(8):
        state = TrainerState(Progress(step=step), step, ends_phase=step in (2, 4))
        checkpoint.save(tmp_path, model, optimizer, state, finished.corpus.tokenizer)
        checkpoint.retire(tmp_path, Keep(newest=2))
    assert [int(place.name[-8:]) for place in checkpoint.found(tmp_path)] == [2, 4, 6, 7]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_run_keeps_its_ends_of_phases(finished):
    places = checkpoint.found(finished.folder / "checkpoints")
    ends = [p for p in places if checkpoint.read_state(p).ends_phase]
    assert len(ends) == 3
    assert len(places) == 3 + finished.config.keep_checkpoints


def test_another_format_is_refused(saved):
    path = saved / "trainer" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_state(saved)
    assert str(caught.value) == (
        f"{path} has format 2, this version reads format 1: "
        "use the version of modernbert that wrote it"
    )


@pytest.mark.parametrize("text", ["{", "", "\xff"])
def test_a_broken_state_is_refused(saved, text):
    (saved / "trainer" / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"state\.json is not JSON \(.*\): copy it again"):
        checkpoint.read_state(saved)


def test_a_list_is_no_state(saved):
    (saved / "trainer" / "state.json").write_text("[]")
    with pytest.raises(CheckpointError, match="has format None"):
        checkpoint.read_state(saved)


def test_a_model_without_a_trainers_state_is_refused(finished):
    with pytest.raises(CheckpointError, match="model has no trainer state: training cannot go on"):
        checkpoint.read_state(finished.folder / "model")


def test_a_damaged_optimizer_file_is_refused(saved):
    path = saved / "trainer" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors cannot be read: "):
        checkpoint.restore_moments(saved, *fresh())


def test_a_missing_optimizer_file_is_refused(saved):
    (saved / "trainer" / "optimizer.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors cannot be read: "):
        checkpoint.restore_moments(saved, *fresh())


def test_moments_of_another_model_are_refused(saved):
    model, _ = fresh()
    model.head.dense.weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = StableAdamW(model.parameters(), lr=1e-3)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.restore_moments(saved, model, optimizer)
    assert str(caught.value) == (
        "the optimizer's state has no head.dense.weight.exp_avg of shape (2, 2): "
        "it belongs to another model, or to another optimizer"
    )


def test_some_checkpoints_stay_for_good(tmp_path):
    tokens = [0, 300, 900, 1100, 1500, 2100, 3300, 3600]
    for step, reached in enumerate(tokens):
        place = checkpoint.place(tmp_path, step)
        (place / "trainer").mkdir(parents=True)
        state = TrainerState(Progress(step=step, tokens=reached), step, ends_phase=step == 4)
        (place / "trainer" / "state.json").write_text(json.dumps(to_plain(state)))
    checkpoint.retire(tmp_path, Keep(newest=1, every_tokens=1000))
    kept = [checkpoint.read_state(each).progress.tokens for each in checkpoint.found(tmp_path)]
    assert kept == [1100, 1500, 2100, 3300, 3600]
    checkpoint.retire(tmp_path, Keep(newest=1))
    kept = [checkpoint.read_state(each).progress.tokens for each in checkpoint.found(tmp_path)]
    assert kept == [1500, 3600]
