"""Keys of a config.json that nothing here computes with: read, and written again as they were.

Other libraries compute with some of them, and people leave notes there.
"""

from collections.abc import Mapping
from typing import Any

from modernbert.model.config import HeadConfig

# Written with a value of ours where the file said none of this type.
_UNUSED: dict[str, tuple[type, ...]] = {
    "attention_dropout": (float, int),
    "bos_token_id": (int,),
    "eos_token_id": (int,),
    "deterministic_flash_attn": (bool,),
    "sparse_prediction": (bool,),
    "sparse_pred_ignore_index": (int,),
}
# The same where there is no head; a head says these itself.
_UNUSED_IF_BARE: dict[str, tuple[type, ...]] = {
    "classifier_pooling": (str,),
    "classifier_dropout": (float, int),
}
# They speak of the files beside them, of a head or of the release; `auto_map` names code.
_OF_ONE_FILE = (
    *("auto_map", "custom_pipelines", "quantization_config", "transformers_version"),
    *("id2label", "label2id", "num_labels", "problem_type", "sentence_transformers"),
    *("rope_scaling", "rope_theta", "attn_implementation"),
)


TEXT_COLUMNS = "modernbert_text_columns"
"""Names of the columns that a head learned texts from: a file to predict may have them too."""
TAGS_TOKENS = "modernbert_tags_tokens"
"""Whether a head learned a tag for each token of a text, and not for each of its words."""
# What a sequence head is for, where the file leaves it to the labels and their number.
_PROBLEM = "problem_type"
_OF_A_HEAD = (_PROBLEM, TEXT_COLUMNS, TAGS_TOKENS)


def kept_of(keys: Mapping[str, Any], head: HeadConfig | None) -> dict[str, Any]:
    """Return what of a config.json that was read is looked at when the model is written."""
    own = _OF_ONE_FILE if head is None else (*_OF_ONE_FILE, *_UNUSED_IF_BARE)
    kept = {key: x for key, x in keys.items() if key not in own and not key.startswith("_")}
    is_unsaid = head is not None and head.kind == "sequence" and keys.get(_PROBLEM) is None
    return kept | ({_PROBLEM: None} if is_unsaid else {})


def with_kept(
    written: Mapping[str, Any], kept: Mapping[str, Any], head: HeadConfig | None
) -> dict[str, Any]:
    """Return the keys to write: ours, and of those kept the ones that ours say nothing of."""
    unused = _UNUSED if head else _UNUSED | _UNUSED_IF_BARE
    found = dict(written) | {
        key: x
        for key, x in kept.items()
        if (type(x) in unused[key] if key in unused else key not in written)
    }
    if _PROBLEM in kept:
        del found[_PROBLEM]
    return found


def without_head(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what still holds for another head."""
    return {key: x for key, x in kept.items() if key not in _OF_A_HEAD}


def text_columns(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the columns that a head learned texts from, as far as they are known."""
    match kept.get(TEXT_COLUMNS):
        case [str(text)]:
            return (text,)
        case [str(text), str(pair)]:
            return (text, pair)
    return ()


def tags_tokens(kept: Mapping[str, Any]) -> bool:
    """Return whether a head of tags knows each token of a text, and not just each word."""
    return kept.get(TAGS_TOKENS) is True


def without_ids(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what still holds when ids stand for other tokens."""
    return {key: x for key, x in kept.items() if not key.endswith("_token_id")}
