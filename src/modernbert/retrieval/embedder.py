"""A folder or hub id of any model of texts' vectors in, these vectors out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.device import Autocast
from modernbert.base.errors import CheckpointError, ConfigError, MachineError, reason_of
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.heads import warn_of_head
from modernbert.infer.hub import folder_of
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model import folder as model_folder

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What gives texts vectors."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its own."""

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return one vector of length 1 a text [S N]."""


def open_embedder(path_or_hub_id: str, autocast: Autocast) -> Embedder:
    """Open a ModernBERT with this package's engine, and any other model with its own library.

    Raises:
        CheckpointError: the folder holds no model of texts' vectors.
        ConfigError: the model gives each token a vector.
        DataError: its tokenizer cannot be read, or lacks a special token.
        MachineError: sentence-transformers is missing.
    """
    folder = folder_of(path_or_hub_id)
    try:
        model_folder.read_config(folder)
    except CheckpointError:
        return _Theirs(folder, autocast)
    opened = load(folder).to(autocast.device)
    warn_of_head(path_or_hub_id, opened)
    return _Ours(opened, autocast)


class _Ours:
    def __init__(self, model: Pretrained, autocast: Autocast) -> None:
        if model.sentence.config.is_per_token or model.sentence.config.is_sparse:
            raise ConfigError(
                "the model gives no dense vector a text: name one that does, such as a "
                "SentenceTransformer"
            )
        self._model, self._autocast = model, autocast
        self.tokenizer = model.tokenizer

    def vectors(self, texts: Sequence[str]) -> Vectors:
        with self._autocast():
            return _unit(self._model.embed(texts))


class _Theirs:
    def __init__(self, folder: Path, autocast: Autocast) -> None:
        self._model = _sentence_transformer(folder, str(autocast.device))
        self._autocast = autocast
        self.tokenizer = Tokenizer.load(folder)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        with self._autocast():
            return _unit(
                self._model.encode(
                    list(texts), batch_size=64, convert_to_tensor=True, show_progress_bar=False
                )
            )


def _unit(vectors: Tensor) -> Vectors:
    return np.asarray(F.normalize(vectors.float(), dim=-1).cpu().numpy())


def _sentence_transformer(folder: Path, device: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer

        from modernbert.retrieval.training.quiet import quiet

        with quiet():
            return SentenceTransformer(str(folder), device=device, local_files_only=True)
    except ImportError as error:
        raise MachineError(
            f"{folder} is no ModernBERT, and a model of another kind needs "
            "sentence-transformers: pip install 'modernbert[train-retriever]'"
        ) from error
    except Exception as error:  # whatever the library meets in a folder
        raise CheckpointError(
            f"{folder} holds no model that gives texts vectors ({reason_of(error)}): name a "
            "folder of sentence-transformers, or a hub id"
        ) from error
