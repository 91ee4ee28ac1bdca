"""Troubleshooting quotes messages as the package writes them, and leaves none out."""

import ast
import re
from functools import cache

from tests.architecture.source import ROOT, modules

GUIDE = ROOT / "docs" / "guides" / "troubleshooting.md"
# Sentences of config.json get its folder on their way out.
QUOTE = re.compile(r"^    error: (?:model/(?=config\.json ))?(.+)$", flags=re.MULTILINE)
ERRORS = {
    "ConfigError",
    "DataError",
    "CheckpointError",
    "MachineError",
    "NumbersError",
    "TrainingError",
}

# Only a program that calls the package can meet these; each says itself what to do.
FROM_PYTHON = (
    "nothing to pack: give at least one list of token ids",
    "document 0 has no tokens: leave it out before packing",
    "row 0 has no tokens: leave it out before unpadding",
    "chunk 0 has 9 tokens, a row holds 8: split it",
    "a chunk may have 9 tokens, but a micro-batch holds 8: "
    "raise micro_batch_tokens or shorten the context",
    "there is no split 'x': choose one of train, heldout",
    "the source 'x' has no held-out document (those that have: none): "
    "raise heldout_fraction and build anew, or evaluate on another source",
    "sample_bytes is 0: give at least 1",
    "shard_bytes is 0: give at least 1",
    "there is no source to build from: give at least one",
    "token type 'x' is not one of uint16, uint32",
    "the vocabulary has 70000 ids, uint16 holds 65536: use uint32",
    "masking: rate is 2: give a share between 0 and 1",
    "masking: mask_share 0.9 and random_share 0.2 sum to more than 1: lower one of them",
    "no attention backend is called 'x': did you mean banded",
    "a head of kind tokens needs labels: give at least one",
    "texts holds files that are no model, or a checkpoint that a run needs: "
    "give a new or empty folder",
    "document 3 is no list of token ids: it has shape [2, 2] and holds int64",
    "document 3 is no list of token ids: an error of torch's",
    "this model gives texts sparse vectors: use sparse",
    "dimensions is 0: keep 1 or more",
    "the engine is closed: open another one",
    "a document has 9 tokens, the model has learned 8 positions: cut it, or split it into several",
    "token ids run from 0 to 99, the vocabulary has 96 entries: they come from another tokenizer",
)


def fixed(message: ast.expr) -> str:
    """Return a pattern: the message's fixed parts, anything where a value goes."""
    if isinstance(message, ast.Constant):
        return re.escape(str(message.value))
    if isinstance(message, ast.JoinedStr):
        return "".join(fixed(part) for part in message.values)
    if isinstance(message, ast.BinOp):
        return fixed(message.left) + fixed(message.right)
    return ".*"


@cache
def patterns() -> dict[str, str]:
    """Return the pattern of every message that a user can meet, with the file it is in."""
    return {
        fixed(node.args[0]): module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ERRORS
        and node.args
    }


def unknown(messages: list[str]) -> list[str]:
    return [m for m in messages if not any(re.fullmatch(pattern, m) for pattern in patterns())]


def unquoted(messages: list[str]) -> list[str]:
    return [
        f"{name}: {pattern}"
        for pattern, name in patterns().items()
        if not any(re.fullmatch(pattern, message) for message in messages)
    ]


def test_quoted_messages_are_the_packages_own():
    assert unknown([*QUOTE.findall(GUIDE.read_text(encoding="utf-8")), *FROM_PYTHON]) == []


def test_every_message_is_quoted():
    assert unquoted([*QUOTE.findall(GUIDE.read_text(encoding="utf-8")), *FROM_PYTHON]) == []


def test_drift_is_noticed():
    assert unknown(["there is no recipe 'x': did you mean tiny?"]) == []
    assert unknown(["there is no such recipe"]) == ["there is no such recipe"]
    assert any("there\\ is\\ no\\ recipe" in pattern for pattern in unquoted([]))
