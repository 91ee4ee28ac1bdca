"""The open ModernBERT stack: from raw text to a trained encoder."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modernbert.batch import Layout, PackedBatch, pack
    from modernbert.bridge.accelerate import accelerate, restore
    from modernbert.infer.engine import Engine
    from modernbert.infer.fill import fill
    from modernbert.infer.pretrained import Pretrained, load
    from modernbert.infer.replies import Answer, Entity, Guess, Label, Option
    from modernbert.infer.shared import AsyncEngine
    from modernbert.serve.client import Client

__version__ = "0.1.0.dev0"
__all__ = [
    "Answer",
    "AsyncEngine",
    "Client",
    "Engine",
    "Entity",
    "Guess",
    "Label",
    "Layout",
    "Option",
    "PackedBatch",
    "Pretrained",
    "accelerate",
    "fill",
    "load",
    "pack",
    "restore",
]

_HOMES = {
    "Answer": "modernbert.infer.replies",
    "AsyncEngine": "modernbert.infer.shared",
    "Client": "modernbert.serve.client",
    "Engine": "modernbert.infer.engine",
    "Entity": "modernbert.infer.replies",
    "Guess": "modernbert.infer.replies",
    "Label": "modernbert.infer.replies",
    "Layout": "modernbert.batch",
    "Option": "modernbert.infer.replies",
    "PackedBatch": "modernbert.batch",
    "Pretrained": "modernbert.infer.pretrained",
    "accelerate": "modernbert.bridge.accelerate",
    "fill": "modernbert.infer.fill",
    "load": "modernbert.infer.pretrained",
    "pack": "modernbert.batch",
    "restore": "modernbert.bridge.accelerate",
}


def __dir__() -> list[str]:
    """List public names before they are imported, for completion."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch costs seconds that --help can spare."""
    if name not in _HOMES:
        raise AttributeError(f"module 'modernbert' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
