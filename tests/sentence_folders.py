"""Folders as sentence-transformers writes and wrote them, around a small ModernBERT."""

import json
import shutil
from pathlib import Path

from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import MASKED_LM, HeadConfig
from tests.corpora import texts, tokenizer
from tests.nets import config_of, lively

DIM = 32
TEXTS = [
    *(text[:600] for text in texts(8)),
    "",
    "Ein  ÜBER\tText \N{GREEK CAPITAL LETTER SIGMA}.",
]
QUERIES = ["the packed batch", "", "every token keeps its place, apart! " * 3, "? what"]

_LEGACY = {
    "Transformer": "sentence_transformers.models.Transformer",
    "Pooling": "sentence_transformers.models.Pooling",
    "Dense": "sentence_transformers.models.Dense",
    "Normalize": "sentence_transformers.models.Normalize",
}
_OLD_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def made(head: HeadConfig | None = MASKED_LM, **fields) -> Pretrained:
    """A lively model of this package with a tokenizer of 512 ids."""
    tokens = tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    shape = {"vocab_size": tokens.vocab_size, "num_layers": 4, "max_length": 512, "dim": DIM}
    return Pretrained(lively(config_of(**(shape | ids | fields)), head=head).eval(), tokens)


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def change(path: Path, **keys) -> None:
    """Set keys of a JSON object; None removes one."""
    content = (read(path) if path.exists() else {}) | keys
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def to_legacy(folder: Path, max_length: int) -> None:
    """Rewrite a folder as sentence-transformers wrote it before 5.4."""
    modules = read(folder / "modules.json")
    for module in modules:
        name = module["type"].rpartition(".")[2]
        module["type"] = _LEGACY[name]
        settings = folder / module["path"] / "config.json"
        if name == "Pooling":
            told = read(settings)
            modes = told["pooling_mode"]
            modes = [modes] if isinstance(modes, str) else modes
            old = {key: mode in modes for key, mode in _OLD_POOLING.items()}
            old |= {"include_prompt": told["include_prompt"]}
            settings.write_text(json.dumps({"word_embedding_dimension": DIM} | old))
        elif name == "Dense":
            change(settings, module_input_name=None, module_output_name=None)
        elif name == "Normalize":
            settings.unlink()
    (folder / "modules.json").write_text(json.dumps(modules))
    told = {"max_seq_length": max_length, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(told))


def to_subfolder(folder: Path) -> None:
    """Move the Transformer into a folder of its own, as the first releases did."""
    inside = folder / "0_Transformer"
    inside.mkdir()
    for name in ("config.json", "model.safetensors", "sentence_bert_config.json"):
        shutil.move(folder / name, inside / name)
    for path in [*folder.glob("tokenizer*"), *folder.glob("special_tokens*")]:
        shutil.move(path, inside / path.name)
    modules = read(folder / "modules.json")
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
