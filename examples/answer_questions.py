"""Teach a model to answer questions, then ask one of a whole long document.

python examples/answer_questions.py MODEL squad.json answers document.txt "the question"

The document is read whole as far as the model reads, beyond that in windows that overlap.
"""

import sys
from pathlib import Path

import modernbert
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create

model, asked, out, document, question = sys.argv[1:]

tune(create(TuneConfig(train=asked, epochs=2, batch_size=16), Start("spans", model), Path(out)))

engine = modernbert.Engine.load(Path(out) / "model")
text = Path(document).read_text(encoding="utf-8")
for answer in engine.answer([(question, text)], number=3)[0]:
    print(f"{answer.start}-{answer.end} {answer.text!r} ({answer.score:.0%})")
