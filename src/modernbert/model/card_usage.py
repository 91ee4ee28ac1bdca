"""Facts of a model in, a snippet for each program that opens it out, right for its head.

Snippets name the folder that holds the card, so that each runs there as it stands.
"""

import shlex
from dataclasses import dataclass

from modernbert.base.markdown import fenced
from modernbert.model.card_facts import CardFacts

_TOKENS = """
batch = modernbert.pack([model.tokenizer.encode("A short text.").tolist()])
x = model.encoder(batch)  # a vector a token, texts end to end
"""
_EMBED = """
import modernbert

model = modernbert.load(".")
vectors = model.embed(["A short text.", "Another one."]PROMPT)  # a vector a text
print(vectors @ vectors.T)
"""
_LATE = """
import modernbert

model = modernbert.load(".")
(query,) = model.token_vectors(["a question"], is_query=True)  # a vector a token
(text,) = model.token_vectors(["a text that may answer it"], is_query=False)
print((query @ text.T).amax(1).sum().item())  # MaxSim
"""
_FILL = """
import modernbert

model = modernbert.load(".")
for guess in modernbert.fill(model, MASKED, top=5)[0]:
    print(f"{guess.probability:.3f} {guess.token!r}")
"""
_SCORES = """
import modernbert

engine = modernbert.Engine.load(".")
for label in engine.classify(["A text to be read."])[0]:
    print(label.name, label.score)  # the likeliest comes first
"""
_TAGS = """
import modernbert

engine = modernbert.Engine.load(".")
for entity in engine.tag(["A text to be read."])[0]:
    print(entity.label, entity.start, entity.end, entity.text, entity.score)
"""
_SPANS = """
import modernbert

engine = modernbert.Engine.load(".")
for answer in engine.answer([("Who reads?", "The model reads the text.")], number=3)[0]:
    print(answer.text, answer.start, answer.end, answer.score)  # the likeliest comes first
"""
_CHOICE = """
import modernbert

engine = modernbert.Engine.load(".")
for option in engine.choose(["The sky is"], [["blue", "a fruit"]])[0]:
    print(option.text, option.score)  # the likeliest comes first
"""
_PIPELINE = """
from transformers import pipeline

answer = pipeline("TASK", model=".")
print(answer(TEXT))
"""
_AUTO_ENCODER = """
from transformers import AutoModel, AutoTokenizer

model, tokenizer = AutoModel.from_pretrained("."), AutoTokenizer.from_pretrained(".")
x = model(**tokenizer("A short text.", return_tensors="pt")).last_hidden_state
"""
_AUTO_SPANS = """
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

model = AutoModelForQuestionAnswering.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
found = tokenizer("Who reads?", "The model reads the text.", return_tensors="pt")
scores = model(**found)
start, end = int(scores.start_logits.argmax()), int(scores.end_logits.argmax())
print(tokenizer.decode(found["input_ids"][0, start : end + 1]))
"""
_AUTO_CHOICE = """
from transformers import AutoModelForMultipleChoice, AutoTokenizer

model = AutoModelForMultipleChoice.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
pairs = tokenizer(["The sky is"] * 2, ["blue", "a fruit"], padding=True, return_tensors="pt")
print(model(**{name: rows[None] for name, rows in pairs.items()}).logits)
"""
_SENTENCES = """
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".")
vectors = model.encode(["A short text.", "Another one."]PROMPT)
print(model.similarity(vectors, vectors))
"""
_MULTI_VECTORS = """
from sentence_transformers import MultiVectorEncoder

model = MultiVectorEncoder(".")
queries = model.encode_query(["a question"])
texts = model.encode_document(["a text that may answer it"])
print(model.similarity(queries, texts))
"""
_COLBERT = """
from pylate import models

model = models.ColBERT(model_name_or_path=".")
queries = model.encode(["a question"], is_query=True)
texts = model.encode(["a text that may answer it"], is_query=False)
"""
_SPARSE = """
from sentence_transformers import SparseEncoder

model = SparseEncoder(".")
vectors = model.encode(["A short text.", "Another one."])
print(model.decode(vectors[0], top_k=5))
"""
_PAIRS = """
from sentence_transformers import CrossEncoder

model = CrossEncoder(".")
print(model.predict([("a question", "a text that may answer it")]))
"""
_POST = "curl -H 'Content-Type: application/json' -d"


@dataclass(frozen=True, slots=True)
class Snippet:
    """How a program uses the model."""

    program: str
    language: str
    code: str


def usage(facts: CardFacts) -> str:
    """Return the snippets as Markdown."""
    shown = [
        Snippet("modernbert", "python", _ours(facts)),
        *_command_line(facts),
        *([] if facts.config.options else _of_others(facts)),
    ]
    return "\n\n".join(f"### {s.program}\n\n{fenced(s.language, s.code)}" for s in shown)


def _of_others(facts: CardFacts) -> list[Snippet]:
    first = Snippet("transformers", "python", _transformers(facts))
    return [first, *_sentence_transformers(facts), *_served(facts)]


def _masked(facts: CardFacts) -> str:
    return f"Please {facts.mask_token} this sentence."


def _ours(facts: CardFacts) -> str:
    masked = repr(_masked(facts))
    return {
        "encoder": _EMBED.replace("PROMPT", _prompt(facts, "prompt")) + _TOKENS,
        "masked_lm": _FILL.replace("MASKED", masked),
        "late": _LATE,
        "sparse": _EMBED.replace("PROMPT", _prompt(facts, "prompt")),
        "sequence": _SCORES,
        "tokens": _TAGS,
        "spans": _SPANS,
        "choice": _CHOICE,
    }[facts.kind]


def _command_line(facts: CardFacts) -> list[Snippet]:
    if facts.kind != "masked_lm" or not facts.mask_token.isprintable():
        return []  # a shell has no plain way to write a line's end
    command = f"modernbert fill . {shlex.quote(_masked(facts))}"
    return [Snippet("modernbert, on the command line", "sh", command)]


def _transformers(facts: CardFacts) -> str:
    def pipeline(task: str, text: str) -> str:
        return _PIPELINE.replace("TASK", task).replace("TEXT", text)

    text = repr("A text to be read.")
    return {
        "encoder": _AUTO_ENCODER,
        "late": _AUTO_ENCODER,
        "sparse": pipeline("fill-mask", repr(_masked(facts))),
        "masked_lm": pipeline("fill-mask", repr(_masked(facts))),
        "sequence": pipeline("text-classification", f"{text}, top_k=None"),
        "tokens": pipeline("token-classification", text),
        "spans": _AUTO_SPANS,
        "choice": _AUTO_CHOICE,
    }[facts.kind]


def _sentence_transformers(facts: CardFacts) -> list[Snippet]:
    name = "sentence-transformers"
    if facts.kind in ("encoder", "masked_lm"):
        code = _SENTENCES.replace("PROMPT", _prompt(facts, "prompt_name"))
        return [Snippet(name, "python", code)]
    if facts.kind == "sparse":
        return [Snippet(name, "python", _SPARSE)]
    if facts.sentence is not None and facts.sentence.late is not None:
        snippets = [Snippet(f"{name} 6", "python", _MULTI_VECTORS)]
        is_pylate = facts.sentence.late.form == "ColBERT"
        return [*snippets, *([Snippet("PyLate", "python", _COLBERT)] if is_pylate else [])]
    if facts.head is not None and facts.head.kind == "sequence" and facts.head.num_scores == 1:
        return [Snippet(f"{name}, if it was trained on pairs", "python", _PAIRS)]
    return []


def _prompt(facts: CardFacts, argument: str) -> str:
    return f", {argument}={next(iter(facts.prompts))!r}" if facts.prompts else ""


def _served(facts: CardFacts) -> list[Snippet]:
    """Return what the two servers need; they know some heads only (their code says which)."""
    found, config = [], facts.config
    tei, vllm = _tei_request(facts), _vllm_request(facts)
    is_every_nth = not config.layer_kinds  # text-embeddings-inference knows no other pattern
    if tei and is_every_nth:
        start = "text-embeddings-router --model-id . --port 8080"
        found.append(Snippet("text-embeddings-inference", "sh", f"{start}\n{tei}"))
    if vllm:
        found.append(Snippet("vLLM", "sh", f"vllm serve . --runner pooling\n{vllm}"))
    return found


def _tei_request(facts: CardFacts) -> str:
    server = "http://127.0.0.1:8080"
    if facts.kind in ("encoder", "masked_lm"):
        return f'{_POST} \'{{"inputs": "A short text."}}\' {server}/embed'
    if facts.head is None or facts.head.kind != "sequence":
        return ""
    if facts.config.head_bias or facts.config.norm_bias:
        return ""  # its classifier has no place for them
    if facts.head.num_scores > 1:
        return f'{_POST} \'{{"inputs": "A short text."}}\' {server}/predict'
    asked = '{"query": "a question", "texts": ["a text that may answer it"]}'
    return f"{_POST} '{asked}' {server}/rerank"


def _vllm_request(facts: CardFacts) -> str:
    is_computed = facts.config.activation == "gelu"  # the one its classifier computes
    paths = {
        "encoder": "v1/embeddings",
        "sequence": "classify" if is_computed else "",
        "tokens": "pooling",
    }
    if not (path := paths.get(facts.kind)):
        return ""
    asked = '{"model": ".", "input": "A short text."}'
    return f"{_POST} '{asked}' http://127.0.0.1:8000/{path}"
