"""A folder or hub id in, a model with its tokenizer out."""

import os
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from modernbert.base import files
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.batch import PackedBatch
from modernbert.data.tokenizer import Tokenizer
from modernbert.model import folder as model_folder
from modernbert.model.config import EncoderConfig
from modernbert.model.encoder import Encoder
from modernbert.model.heads import Head
from modernbert.model.model import Model

_WANTED = ("*.json", "*.safetensors")


class Pretrained(nn.Module):
    """A model and the tokenizer it was trained with."""

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer

    @property
    def encoder(self) -> Encoder:
        """The encoder: `encoder(batch)` gives x [T D]."""
        return self.model.encoder

    @property
    def head(self) -> Head | None:
        """The head the folder has, None for a bare encoder."""
        return self.model.head

    @property
    def config(self) -> EncoderConfig:
        """The encoder's shape."""
        return self.model.config

    def forward(self, batch: PackedBatch) -> Float[Tensor, "rows _"]:
        """Return the head's output, or the encoder's when there is no head."""
        output: Tensor = self.model(batch)
        return output

    def save(self, folder: str | Path) -> None:
        """Write a folder that `transformers` opens, whole or not at all.

        A model that is there is replaced.

        Raises:
            ConfigError: the folder holds something that is not a model.
            MachineError: it could not be written.
        """
        target = Path(folder).resolve()
        if target.is_dir() and any(target.iterdir()) and not (target / "config.json").exists():
            raise ConfigError(
                f"{target} holds files that are no model, and saving would replace the folder: "
                "give a new or empty one"
            )
        with files.whole_folder(target) as aside:
            model_folder.write(self.model, aside)
            self.tokenizer.save(aside, max_length=self.config.max_length)


def load(
    path_or_hub_id: str | Path, *, revision: str | None = None, token: str | None = None
) -> Pretrained:
    """Open a model folder, or download one from the Hugging Face hub and open it.

    Nothing in a checkpoint is executed. A folder wins over a hub id of the same name.

    Raises:
        CheckpointError: the folder is not a ModernBERT, or the hub does not give it.
    """
    folder = Path(path_or_hub_id)
    if not folder.is_dir():
        folder = _downloaded(str(path_or_hub_id), revision, token)
    model = model_folder.read(folder)
    return Pretrained(model, Tokenizer.load(folder)).eval()


def _downloaded(hub_id: str, revision: str | None, token: str | None) -> Path:
    if hub_id.count("/") > 1 or hub_id.startswith((".", "/", "~")) or os.sep * 2 in hub_id:
        raise CheckpointError(f"there is no folder {hub_id}, and it is no hub id (owner/name)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            hub_id, revision=revision, token=token, allow_patterns=list(_WANTED)
        )
    except HFValidationError as error:
        raise CheckpointError(
            f"there is no folder {hub_id}, and it is no hub id (owner/name)"
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{hub_id} is neither a folder nor in the hub's cache, and the hub is out of reach: "
            "check the path, or the network"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the hub does not give {hub_id}: {reason}") from error
    return Path(found)
