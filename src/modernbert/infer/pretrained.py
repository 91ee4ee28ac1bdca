"""A folder or hub id in, a model with its tokenizer out."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from modernbert.base import files
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.batch import PackedBatch
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer import embed, reading
from modernbert.infer.hub import folder_of, split_revision
from modernbert.model import card, sentence_reader, sentence_writer
from modernbert.model import folder as model_folder
from modernbert.model.card_facts import CardFacts, Origin
from modernbert.model.config import EncoderConfig
from modernbert.model.encoder import Encoder
from modernbert.model.heads import Head
from modernbert.model.late_keys import as_pylate
from modernbert.model.model import Model
from modernbert.model.opens import TOKENIZER
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import SentenceConfig


class Pretrained(nn.Module):
    """A model, the tokenizer it was trained with, and how texts become vectors.

    Without the last, a text's vector is the mean of its tokens'.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, sentence: Sentence | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.sentence = sentence or Sentence(SentenceConfig(max_length=model.config.max_length))
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

    @property
    def max_length(self) -> int:
        """Tokens that a head reads of a text: the encoder's, or fewer if the tokenizer says so.

        A fine-tuning writes there at what length it cut, which is where `transformers` looks.
        """
        limit, longest = self.tokenizer.max_length, self.config.max_length
        return longest if limit is None else min(limit, longest)

    def forward(self, batch: PackedBatch) -> Float[Tensor, "rows _"]:
        """Return the head's output, or the encoder's when there is no head."""
        output: Tensor = self.model(batch)
        return output

    def embed(self, texts: Sequence[str], prompt: str | None = None) -> Float[Tensor, "S N"]:
        """Return one float32 vector a text, as sentence-transformers computes it from the folder.

        `prompt` names one of the folder's prompts; without it the folder's default is used, "" is
        none. Longer texts than the folder reads are cut.

        Raises:
            ConfigError: the model gives a vector a token, or there is no prompt of this name.
            DataError: the texts are none, or one holds what is no character.
        """
        config = self.sentence.config
        if config.is_per_token:
            raise ConfigError("this model gives each token a vector: use token_vectors")
        before = reading.prompt_named(config, prompt)
        documents = reading.with_ends(self.tokenizer, texts, before, config.max_length)
        count = reading.num_prompt_tokens(self.tokenizer, before, config.max_length)
        return embed.vectors_of_texts(self.model, self.sentence, documents, count)

    def token_vectors(self, texts: Sequence[str], *, is_query: bool) -> list[Float[Tensor, "T N"]]:
        """Return for each text a float32 vector for each token that counts in scoring.

        Raises:
            ConfigError: the model gives a vector a text.
            DataError: the texts are none, or one holds what is no character.
        """
        config = self.sentence.config
        if config.late is None:
            raise ConfigError("this model gives each text one vector: use embed")
        read = reading.side_of(self.tokenizer, config, texts, is_query=is_query)
        vectors = embed.vectors_of_tokens(self.model, self.sentence, read)
        places = (
            reading.kept(self.tokenizer, config.late, text.ids, is_query=is_query) for text in read
        )
        return [x[place] for x, place in zip(vectors, places, strict=True)]

    def save(self, folder: str | Path) -> None:
        """Write a folder that `transformers` and others open; a new one is whole or absent.

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
            sentence_writer.write(self.model, aside, self.sentence)
            self.tokenizer.save(aside, max_length=self.sentence.config.max_length)
            if card.is_replaceable(target):
                card.write(self._card_facts(), aside)
        model_folder.remove_shards(target)
        if not sentence_writer.has_sentence(self.model.head_config):
            sentence_writer.remove_sentence(target)

    def _card_facts(self) -> CardFacts:
        mask, sentence = self.tokenizer.mask_token, self.sentence.config
        return card.facts_of(self.model, mask, sentence=sentence, origin=self.origin)


def _is_replaceable(folder: Path) -> bool:
    """Return whether a folder holds a model that no run goes on from."""
    try:
        model_folder.read_config(folder)
    except CheckpointError:
        return False
    return not (folder / "trainer").exists()


def load(
    path_or_hub_id: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    tokenizer: str | Path | None = None,
) -> Pretrained:
    """Open a model folder, or download one from the Hugging Face hub and open it.

    Nothing in a checkpoint is executed. A folder wins over a hub id of the same name. `revision`
    is a branch, a tag or a commit, and may follow the id after an `@` instead; without a token,
    HF_TOKEN or the saved login is used. `tokenizer` is a folder whose tokenizer takes the place of
    the model's own.

    Raises:
        CheckpointError: the folder is not a ModernBERT, or the hub does not give it.
        ConfigError: the other tokenizer lacks what tells queries from documents, or what is given
            is no name.
        DataError: there is no tokenizer.
    """
    folder = folder_of(path_or_hub_id, revision=revision, token=token)
    place = sentence_reader.model_place(folder)
    model, words = model_folder.read(place), Path(tokenizer or place)
    tokens = Tokenizer.load(words)
    check_match(words, model.config, tokens)
    sentence = sentence_reader.read_sentence(folder, model)
    if tokenizer is not None:
        own = Tokenizer.load(place) if (place / TOKENIZER).is_file() else None
        check_marks(sentence.config, own, tokens)
    sentence.config = as_pylate(sentence.config, tokens.is_added)
    if sentence.config.has_lower_case:
        tokens = tokens.lower_cased()
    opened = Pretrained(model, tokens, sentence)
    hub_id = "" if Path(path_or_hub_id).is_dir() else split_revision(str(path_or_hub_id))[0]
    opened.origin = Origin(hub_id, card.training_in(folder))
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


def check_marks(sentence: SentenceConfig, own: Tokenizer | None, new: Tokenizer) -> None:
    """Refuse another tokenizer if it has no token for what marks queries or documents.

    They would all be marked by [UNK], and look alike.

    Raises:
        ConfigError: a mark that was a token would be none.
    """
    late = sentence.late
    for mark in (late.query_prefix, late.document_prefix) if late else ():
        was_token = (
            late is not None and late.form == "ColBERT" if own is None else own.is_added(mark)
        )
        if mark and was_token and not new.is_added(mark):
            raise ConfigError(
                f"this model marks queries and documents by tokens such as {mark!r}, and the other "
                "tokenizer has none of that name: add it there, as transformers' add_tokens does"
            )
