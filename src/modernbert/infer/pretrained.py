"""A folder or hub id in, a model with its tokenizer out."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from modernbert.base import files
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.batch import PackedBatch
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.hub import folder_of
from modernbert.model import card
from modernbert.model import folder as model_folder
from modernbert.model.card_facts import Origin
from modernbert.model.config import EncoderConfig
from modernbert.model.encoder import Encoder
from modernbert.model.heads import Head
from modernbert.model.model import Model


class Pretrained(nn.Module):
    """A model and the tokenizer it was trained with."""

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.origin = Origin()

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
        """Write a folder that `transformers` opens; a new one is whole or absent.

        A model that is there is replaced file by file; other files stay, and so does a README.md
        unless it is a card that was written here and not changed.

        Raises:
            ConfigError: the folder holds something that is not a model.
            MachineError: it could not be written.
        """
        target = Path(folder).resolve()
        is_used = target.is_dir() and any(target.iterdir())
        if is_used and not _is_replaceable(target):
            raise ConfigError(
                f"{target} holds files that are no model, or a checkpoint that a run needs: "
                "give a new or empty folder"
            )
        context = files.filled_folder if is_used else files.whole_folder
        with context(target) as aside:
            model_folder.write(self.model, aside)
            self.tokenizer.save(aside, max_length=self.config.max_length)
            if card.is_replaceable(target):
                mask = self.tokenizer.mask_token
                card.write(card.facts_of(self.model, mask, origin=self.origin), aside)
        model_folder.remove_shards(target)


def _is_replaceable(folder: Path) -> bool:
    """Return whether a folder holds a model that no run goes on from."""
    try:
        model_folder.read_config(folder)
    except CheckpointError:
        return False
    return not (folder / "trainer").exists()


def load(
    path_or_hub_id: str | Path, *, revision: str | None = None, token: str | None = None
) -> Pretrained:
    """Open a model folder, or download one from the Hugging Face hub and open it.

    Nothing in a checkpoint is executed. A folder wins over a hub id of the same name. `revision`
    is a branch, a tag or a commit; without a token, HF_TOKEN or the saved login is used.

    Raises:
        CheckpointError: the folder is not a ModernBERT, or the hub does not give it.
    """
    folder = folder_of(path_or_hub_id, revision=revision, token=token)
    model, tokenizer = model_folder.read(folder), Tokenizer.load(folder)
    check_match(folder, model.config, tokenizer)
    opened = Pretrained(model, tokenizer)
    is_folder = Path(path_or_hub_id).is_dir()
    opened.origin = Origin("" if is_folder else str(path_or_hub_id), card.training_in(folder))
    return opened.eval()


def check_match(folder: Path, config: EncoderConfig, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer whose ids mean something else to the model, as far as can be seen.

    Some published models name another token as [CLS] than their tokenizer does; none is known
    whose tokenizer and model agree on no special token.
    """
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {folder} has {tokenizer.vocab_size} ids, the model "
            f"{config.vocab_size}: they do not belong together"
        )
    theirs = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)
    ours = (config.pad_id, config.cls_id, config.sep_id)
    if not any(one == other for one, other in zip(theirs, ours, strict=True)):
        raise CheckpointError(
            f"the tokenizer in {folder} has [PAD], [CLS] and [SEP] at {theirs}, config.json at "
            f"{ours}: they do not belong together"
        )
