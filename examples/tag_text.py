"""Teach a model to find spans in texts from marked examples, then mark a text of your own.

python examples/tag_text.py MODEL spans.jsonl parts "a text to mark"

A line of spans.jsonl: {"text": "every token", "spans": [{"start": 6, "end": 11, "label": "PART"}]}
"""

import sys
from pathlib import Path

import modernbert
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create

model, marked, out, text = sys.argv[1:]

tune(create(TuneConfig(train=marked, epochs=5), Start("tokens", model), Path(out)))

engine = modernbert.Engine.load(Path(out) / "model")
for entity in engine.tag([text])[0]:
    print(f"{entity.start}-{entity.end} {entity.label} {entity.text!r} ({entity.score:.0%})")
