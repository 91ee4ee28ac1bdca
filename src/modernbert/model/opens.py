"""What a model folder holds in; which tools open it, and why the others do not, out.

Rules of transformers 4.57.6 and 5.23.0, sentence-transformers 6.2.0, PyLate 1.6.0,
text-embeddings-inference at 0d124dc and vLLM 0.33.0, from their code.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modernbert.kernels.scaling import RopeScaling
from modernbert.model.config import EncoderConfig
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.hf_variant import VARIANT
from modernbert.model.stored import PICKLE, WEIGHTS, plain

Verdict = Literal["yes", "wrong", "no"]

# transformers 4 and text-embeddings-inference know these keys alone; the first three have a
# default in transformers and none in text-embeddings-inference.
_OLD = {"global_attn_every_n_layers": 3, "global_rope_theta": 160_000.0, "local_rope_theta": 1e4}
_STRICT = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "max_position_embeddings", "hidden_activation", "local_attention"),
    *("initializer_range", "initializer_cutoff_factor", "norm_eps", "norm_bias"),
    *("pad_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "sep_token_id"),
    *("attention_bias", "attention_dropout", "classifier_activation", "architectures"),
    *_OLD,
)
TOKENIZER = "tokenizer.json"
_POOLING = ("pooling_mode_cls_token", "pooling_mode_mean_tokens")
_LIMITS, _OWN = "sentence_bert_config.json", "config_sentence_transformers.json"
_SHORTENING = ("truncate_dim", "max_active_dims")
_DENSE = ("Tanh", "Identity")
# Written by transformers 5, where a tokenizer has no class of its own.
_NEWER_TOKENIZERS = ("TokenizersBackend", "PythonBackend")
_BY_TOKEN = ("ColBERT", "MultiVectorEncoder")
# Settings without which a module is not made: one of each row.
_NEEDED = {
    "Pooling": (("word_embedding_dimension", "embedding_dimension"),),
    "Dense": (("in_features",), ("out_features",)),
}
_BODY, _HEADS = ("layers.", "embeddings.", "final_norm."), ("head.", "decoder.", "classifier.")
_SERVED = ("ModernBertModel", "ModernBertForSequenceClassification")


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether a tool opens a model."""

    tool: str
    verdict: Verdict
    """`wrong`: it opens, and computes something else."""
    why: str = ""
    """Empty for a yes without conditions."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a model folder."""

    files: Mapping[str, Any]
    """Paths below the folder; a JSON file with what it says, any other with None."""
    tensors: frozenset[str] = frozenset()
    """Names in the files of weights."""

    @property
    def keys(self) -> Mapping[str, Any]:
        """What config.json says."""
        found: Mapping[str, Any] = self.files["config.json"]
        return found

    @property
    def architecture(self) -> str:
        """The class that config.json names."""
        return str((self.keys.get("architectures") or ["ModernBertModel"])[0])

    @property
    def modules(self) -> tuple[str, ...]:
        """Types of the sentence-transformers modules."""
        return tuple(str(each.get("type")) for each in self.listed)

    @property
    def listed(self) -> list[Mapping[str, Any]]:
        """Entries of modules.json."""
        listed = self.files.get("modules.json")
        modules = listed if isinstance(listed, list) else []
        return [each for each in modules if isinstance(each, Mapping)]

    def said(self, path: str) -> Mapping[str, Any] | None:
        """Return what a file of keys says, None where it is not there."""
        content = self.files.get(path)
        return content if isinstance(content, Mapping) else None


def openings(contents: Contents) -> tuple[Opening, ...]:
    """Say of each tool whether it opens a folder of a ModernBERT."""
    if contents.keys.get("model_type") == VARIANT:
        why = f"it knows no {VARIANT}: options of this package, which only it computes"
        return tuple(Opening(tool, "no", why) for tool in TOOLS)
    return tuple(Opening(tool, *rule(contents)) for tool, rule in TOOLS.items())


def misread(config: EncoderConfig) -> str:
    """Say why transformers 4 reads a model that is written here wrong; empty where it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the writer says the same
        keys = to_hf(config, dtype="float32", head=None)
    return (_misread(Contents({"config.json": keys})) or _YES)[1]


Answer = tuple[Verdict, str]
_YES: Answer = ("yes", "")


def _transformers_5(found: Contents) -> Answer:
    keys, ropes = found.keys, found.keys.get("rope_parameters")
    if "rope_parameters" not in keys and keys.get("local_rope_theta", 0.0) is None:
        return "no", "local_rope_theta is null: it stops with a TypeError"
    if isinstance(ropes, Mapping) and None in ropes.values():
        return "no", "rope_parameters has a null: it stops with a TypeError"
    return _padding(found) or _YES


def _transformers_4(found: Contents) -> Answer:
    return _padding(found) or _misread(found) or _prefixes(found) or _newer_tokenizer(found) or _YES


def _padding(found: Contents) -> Answer | None:
    keys = found.keys
    padding, size = keys.get("pad_token_id"), keys.get("vocab_size", 0)
    if isinstance(padding, int) and padding >= size:
        return "no", f"pad_token_id {padding} is outside the vocabulary of {size}"
    return None


def _newer_tokenizer(found: Contents) -> Answer | None:
    told = str((found.said("tokenizer_config.json") or {}).get("tokenizer_class"))
    if told not in _NEWER_TOKENIZERS:
        return None
    return "no", f"tokenizer_config.json names {told}, which it does not know"


def _prefixes(found: Contents) -> Answer | None:
    """Say what version 4 makes of names with `model.` and without: it takes one or the other."""
    body = [name for name in found.tensors if plain(name).startswith(_BODY)]
    num_marked = sum(name.startswith("model.") for name in body)
    if 0 < num_marked < len(body):
        return "wrong", "some names begin with model. and some do not: it reads the former alone"
    if body and not num_marked and any(name.startswith(_HEADS) for name in found.tensors):
        return "no", "names of the encoder do not begin with model., and a head is there"
    return None


def _sentence_transformers(found: Contents) -> Answer:
    foreign = [each for each in found.modules if not each.startswith(_KNOWN_MODULES)]
    if foreign:
        return "no", f"{foreign[0]} is code of its own"
    if found.files.get("modules.json") == []:
        return "no", "modules.json names no module"
    if not isinstance((found.said(_OWN) or {}).get("prompts") or {}, Mapping):
        return "no", f"prompts in {_OWN} is no object"
    answer = _tokenizer(found) or _modules(found) or _transformers_5(found)
    if answer == _YES and _transformers_4(found) != _YES:
        return "yes", "with transformers 5 beneath"
    return answer


def _older_sentence_transformers(found: Contents) -> Answer:
    if new := [each for each in found.modules if ".base.modules." in each]:
        return "no", f"{new[0]} is a name of sentence-transformers 5.4 and later"
    verdict, why = _transformers_4(found)
    if verdict != "yes":
        return verdict, f"with transformers 4 beneath: {why}"
    return _whole(found) or _sentence_transformers(found)


def _text_embeddings_inference(found: Contents) -> Answer:
    if absent := [key for key in _STRICT if found.keys.get(key) is None]:
        return "no", f"config.json lacks {', '.join(absent)}"
    answer = _tokenizer(found) or _tei_head(found) or _modules(found) or _tei_modules(found)
    answer = answer or _misread(found, "rope_scaling") or _whole(found)
    if answer is None and any(name.endswith("SpladePooling") for name in found.modules):
        return "yes", "with --pooling splade"
    return answer or _by_token(found, "it gives a text one vector, that of its first token") or _YES


def _tei_head(found: Contents) -> Answer | None:
    keys, labels = found.keys, found.keys.get("id2label") or {}
    if found.architecture == "ModernBertForSequenceClassification":
        if len(labels) > 1 and "num_labels" not in keys:
            return "no", "config.json lacks num_labels"
        if keys.get("classifier_bias") or keys["norm_bias"]:
            return "no", "its classifier has no place for the head's biases"
    elif found.architecture not in (*_SERVED, "ModernBertForMaskedLM"):
        return "no", "it serves embeddings and classifiers of sequences"
    return None


def _tei_modules(found: Contents) -> Answer | None:
    pooling, limits = found.said("1_Pooling/config.json"), found.said(_LIMITS)
    if pooling is not None and not all(key in pooling for key in _POOLING):
        return "no", f"1_Pooling/config.json lacks {' or '.join(_POOLING)}"
    if limits is not None and "max_seq_length" not in limits:
        return "no", f"{_LIMITS} lacks max_seq_length"
    for name in (name for name in found.files if name.endswith("_Dense/config.json")):
        activation = str((found.said(name) or {}).get("activation_function"))
        if not activation.endswith(_DENSE):
            return "no", f"{name} has another activation than {' or '.join(_DENSE)}"
    return None


def _vllm(found: Contents) -> Answer:
    if not found.keys.get("architectures"):
        return "no", "config.json lacks architectures"
    if found.architecture not in (*_SERVED, "ModernBertForTokenClassification"):
        return "no", f"it has no {found.architecture}: `modernbert convert --headless` makes one"
    is_classifier = found.architecture == "ModernBertForSequenceClassification"
    activation = found.keys.get("classifier_activation", "gelu")
    if is_classifier and activation != "gelu":
        return "wrong", f"its head takes gelu for {activation}"
    answer = _tokenizer(found) or _modules(found) or _whole(found)
    why = "it leaves out what follows the encoder: projections, skipped words, expanded queries"
    return answer or _by_token(found, why) or _transformers_5(found)


def _by_token(found: Contents, why: str) -> Answer | None:
    """Say what a tool does that knows nothing of one vector a token."""
    own = found.said(_OWN) or {}
    return ("wrong", why) if own.get("model_type") in _BY_TOKEN else None


def _modules(found: Contents) -> Answer | None:
    """Say which file of a module is not there, or which of its settings."""
    for each in found.listed:
        place, name = str(each.get("path") or ""), str(each.get("type")).rpartition(".")[2]
        settings = f"{place}/config.json"
        told = found.said(settings)
        if name in _NEEDED and told is None:
            return "no", f"{settings} is missing or broken"
        for keys in _NEEDED.get(name, ()):
            if all((told or {}).get(key) is None for key in keys):
                return "no", f"{settings} lacks {keys[0]}"
        if name == "Dense" and not {f"{place}/{each}" for each in (WEIGHTS, PICKLE)} & {
            *found.files
        }:
            return "no", f"{place}/{WEIGHTS} is missing or broken"
    return None


def _whole(found: Contents) -> Answer | None:
    """Say what a tool does that gives out whole vectors, whatever the folder says."""
    own = found.said(_OWN) or {}
    told = [key for key in _SHORTENING if own.get(key) is not None]
    return ("wrong", f"it does not read {told[0]}, and gives whole vectors") if told else None


def _tokenizer(found: Contents) -> Answer | None:
    if TOKENIZER not in found.files:
        return "no", f"{TOKENIZER} is missing"
    if "model" not in (found.said(TOKENIZER) or {}):
        return "no", f"{TOKENIZER} holds no tokenizer"
    return None


def _misread(found: Contents, *unread: str) -> Answer | None:
    """Compare what the keys say with what the old keys alone say, without some of them."""
    old = {key: found.keys.get(key, default) for key, default in _OLD.items()}
    new = {"layer_types", "rope_parameters", *unread}
    kept = {key: value for key, value in found.keys.items() if key not in new}
    right, theirs = from_hf(found.keys), from_hf(kept | old)
    if _kinds(right) != _kinds(theirs):
        return "wrong", "it knows no other layer pattern than every n-th, and reads this one so"
    if _ropes(right) != _ropes(theirs):
        return "wrong", "it takes other rotary angles, for it does not read the keys of these"
    return None


def _kinds(config: EncoderConfig) -> list[bool]:
    return [config.is_global(layer) for layer in range(config.num_layers)]


def _ropes(config: EncoderConfig) -> list[tuple[float, RopeScaling]]:
    return [config.rope_at(layer) for layer in range(config.num_layers)]


_KNOWN_MODULES = ("sentence_transformers.", "pylate.models.")

TOOLS: dict[str, Callable[[Contents], Answer]] = {
    "transformers 5": _transformers_5,
    "transformers 4.57": _transformers_4,
    "sentence-transformers": _sentence_transformers,
    "sentence-transformers <= 5.3, PyLate": _older_sentence_transformers,
    "text-embeddings-inference": _text_embeddings_inference,
    "vLLM": _vllm,
}
"""A tool and its rule, in the order they are shown."""
