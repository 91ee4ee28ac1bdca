"""A folder or hub id in, a model with its tokenizer out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, get_args

from torch import Tensor, nn

from modernbert.base import files
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.base.records import one_of
from modernbert.base.shapes import Float
from modernbert.batch import PackedBatch
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer import embed, reading
from modernbert.infer.export.record import NAME as EXPORT
from modernbert.infer.export.record import Export, Form, read_export
from modernbert.infer.export.running import ExportedModel, Runs, open_proven
from modernbert.infer.fingerprint import fingerprint_of_model
from modernbert.infer.hub import folder_of, split_revision
from modernbert.infer.matching import check_marks, check_match
from modernbert.infer.told import Runtime
from modernbert.model import card, sentence_reader, sentence_writer, stored
from modernbert.model import folder as model_folder
from modernbert.model.card_facts import CardFacts, Origin
from modernbert.model.config import EncoderConfig
from modernbert.model.encoder import Encoder
from modernbert.model.heads import Head
from modernbert.model.hf_kept import kept_of
from modernbert.model.init import outline
from modernbert.model.int8 import round_matrices
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
        self.graph: ExportedModel | None = None
        """The same model as another runtime runs it; `model` may have no weights then."""
        self.runtime: Runtime = "torch"

    @property
    def runs(self) -> Runs:
        """What reads packed batches: the graph where there is one, else the model."""
        return self.model if self.graph is None else self.graph

    @property
    def computes(self) -> str:
        """Say in which numbers, and on what, texts are read."""
        if self.graph is not None:
            return f"{self.runtime} on cpu"
        weight = self.encoder.embeddings.tok_embeddings.weight
        numbers = "8 bits" if self.runtime == "int8" else str(weight.dtype).removeprefix("torch.")
        return f"{numbers} on {weight.device}"

    @property
    def encoder(self) -> Encoder:
        """The encoder: `encoder(batch)` gives x [T D].

        Raises:
            ConfigError: a graph runs the model, and has no part that could be called alone.
        """
        if self.graph is not None:
            raise ConfigError(
                "a graph has no encoder of its own: call the model, or load it without a runtime"
            )
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

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        # What another runtime or 8 bits hold does not move, or become another format: whoever
        # opens a model for the device at hand has it on the processor then.
        if self.runtime != "torch":
            return self
        found: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return found

    def forward(self, batch: PackedBatch) -> Float[Tensor, "rows _"]:
        """Return the head's output, or the encoder's when there is no head."""
        output: Tensor = self.runs(batch)
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
        return embed.vectors_of_texts(self.runs, self.sentence, documents, count)

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
        vectors = embed.vectors_of_tokens(self.runs, self.sentence, read)
        places = (
            reading.kept(self.tokenizer, config.late, text.ids, is_query=is_query) for text in read
        )
        return [x[place] for x, place in zip(vectors, places, strict=True)]

    def save(self, folder: str | Path) -> None:
        """Write a folder that `transformers` and others open; a new one is whole or absent.

        A model that is there is replaced file by file; other files stay, and so does a README.md
        unless it is a card that was written here and not changed.

        Raises:
            ConfigError: the folder holds something that is not a model, or this one has no
                weights of its own, as its runtime is not "torch".
            MachineError: it could not be written.
        """
        if self.runtime != "torch":
            raise ConfigError(
                f"a model that was opened with runtime {self.runtime!r} has no weights to save: "
                "open it without one"
            )
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
    runtime: Runtime = "torch",
) -> Pretrained:
    """Open a model folder, or download one from the Hugging Face hub and open it.

    Nothing in a checkpoint is executed. A folder wins over a hub id of the same name. `revision`
    is a branch, a tag or a commit, and may follow the id after an `@` instead; without a token,
    HF_TOKEN or the saved login is used. `tokenizer` is a folder whose tokenizer takes the place of
    the model's own. `runtime` "int8" rounds matrices to 8 bits as the folder is opened, for a CPU;
    the others name a graph of a folder that `modernbert export` wrote.

    Raises:
        CheckpointError: the folder is not a ModernBERT, or the hub does not give it; a graph is
            missing, or is not what was proven to be like the model.
        ConfigError: the other tokenizer lacks what tells queries from documents, or what is given
            is no name.
        DataError: there is no tokenizer.
    """
    one_of("runtime", str(runtime), get_args(Runtime))
    folder = folder_of(path_or_hub_id, revision=revision, token=token, runtime=runtime)
    is_export = (folder / EXPORT).is_file()
    export = read_export(folder) if is_export and runtime != "torch" else None
    is_rounded_here = runtime == "int8" and not (export and "int8" in export.graphs)
    if runtime != "torch" and not is_rounded_here:
        return _exported(folder, runtime, export or read_export(folder), tokenizer)
    place = sentence_reader.model_place(folder)
    if is_export and not stored.has_weights(place):
        raise CheckpointError(
            f"{folder} holds what was exported, and no weights: name one with --runtime, "
            f"{' or '.join(read_export(folder).graphs)}"
        )
    model = model_folder.read(place)
    if runtime == "int8":
        round_matrices(model)
    opened = _opened(folder, model, path_or_hub_id, tokenizer)
    opened.runtime = runtime
    return opened


def _opened(
    folder: Path, model: Model, named: str | Path, tokenizer: str | Path | None
) -> Pretrained:
    """Gather what a folder has around a model."""
    place = sentence_reader.model_place(folder)
    words = Path(tokenizer or place)
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
    hub_id = "" if Path(named).is_dir() else split_revision(str(named))[0]
    opened.origin = Origin(hub_id, card.training_in(folder))
    return opened.eval()


def _exported(
    folder: Path, runtime: Form, export: Export, tokenizer: str | Path | None
) -> Pretrained:
    if tokenizer is not None:
        raise ConfigError("an export is proven with its own tokenizer: leave the other one out")
    place = sentence_reader.model_place(folder)
    if stored.has_weights(place) and fingerprint_of_model(str(folder)) != export.model:
        raise CheckpointError(
            f"{folder} holds weights that {EXPORT} is not of: export the model anew"
        )
    runs = open_proven(folder, runtime, export)
    graph = runs if isinstance(runs, ExportedModel) else None
    model = outline(export.encoder, export.head) if isinstance(runs, ExportedModel) else runs
    model.kept = kept_of(stored.read_object(place / stored.CONFIG), export.head)
    found = _opened(folder, model, folder, None)
    found.graph, found.runtime = graph, runtime
    return found
