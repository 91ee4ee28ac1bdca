"""A fine-tuned model in, what it says of texts out: one object for every head."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

from modernbert.base.device import choose_device
from modernbert.infer.answer import Answer, answer
from modernbert.infer.choose import Option, choose
from modernbert.infer.classify import Label, Text, classify
from modernbert.infer.pretrained import Pretrained, load
from modernbert.infer.tag import Entity, Untagged, tag
from modernbert.infer.told import Runtime
from modernbert.tasks.spans import MAX_ANSWER_TOKENS


@final
class Engine:
    """A model on its device; each method asks one kind of head, and says how to get one."""

    def __init__(self, model: Pretrained) -> None:
        """Take a model as it is, on the device where it is."""
        self.model = model

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: str = "auto",
        runtime: Runtime = "torch",
    ) -> "Engine":
        """Open a model folder or one of the hub, see `load`, on a device: "auto", "cpu", "cuda".

        `runtime` "int8" keeps matrices in 8 bits, for a CPU; others name a graph of a folder that
        `modernbert export` wrote, such as "onnx-int8".

        Raises:
            CheckpointError: the folder is not a ModernBERT, or the hub does not give it.
            ConfigError: what is given is no name.
            DataError: there is no tokenizer.
            MachineError: the device is not there.
        """
        opened = load(path_or_hub_id, revision=revision, token=token, runtime=runtime)
        return cls(opened.to(choose_device(device)))

    def classify(self, texts: Sequence[Text]) -> list[list[Label]]:
        """Return for each text, or pair of texts, every label with its score, the likeliest first.

        Where one label is right, the scores of a text sum to 1; where any number is, each label
        has a probability of its own; of a regression the score is the number itself. Longer texts
        than the model reads are cut.

        Raises:
            ConfigError: the model has no head that labels texts.
            DataError: a text holds what is no character, or texts and pairs are mixed.
        """
        return classify(self.model, texts)

    def tag(self, texts: Sequence[Untagged]) -> list[list[Entity]]:
        """Return the spans found in each text, or list of words, in the order of the text.

        Longer texts than the model reads are read in windows.

        Raises:
            ConfigError: the model has no head that tags words.
            DataError: a text holds what is no character.
        """
        return tag(self.model, texts)

    def answer(
        self,
        asked: Sequence[tuple[str, str]],
        *,
        number: int = 1,
        can_be_none: bool = False,
        max_tokens: int = MAX_ANSWER_TOKENS,
    ) -> list[list[Answer]]:
        """Return for each (question, text) the likeliest answers that stand in it, the best first.

        Longer texts than the model reads are read in windows. `can_be_none` lets "" be an answer.

        Raises:
            ConfigError: the model has no head that finds answers, or none is asked for.
            DataError: a question or text is empty, or holds what is no character.
        """
        return answer(
            self.model, asked, number=number, can_be_none=can_be_none, max_tokens=max_tokens
        )

    def choose(
        self, questions: Sequence[Text], options: Sequence[Sequence[str]]
    ) -> list[list[Option]]:
        """Return for each question its options with their scores, the likeliest first.

        A question may have two parts: the second one then begins each option. Numbers of options
        may differ.

        Raises:
            ConfigError: the model has no head that chooses.
            DataError: questions and options are not as many, one is empty, or has fewer than two.
        """
        return choose(self.model, questions, options)
