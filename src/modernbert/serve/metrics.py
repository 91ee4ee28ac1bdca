"""What a server counts, under TEI's names, so that its dashboards show this one too."""

import re
from typing import Literal, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
Method = Literal["single", "batch"]
Kind = Literal["embed", "predict"]
"""Vectors, or what a head says."""

_SECONDS = tuple(1.5e-5 * 1.5**step for step in range(35))
_SIZES = tuple(float(2**step) for step in range(18))
_TOTAL = re.compile(r"(te_\w+)_total")
_STEPS = ("tokenization", "queue", "inference")


@final
class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        """Begin at zero, apart from any other server of the process."""
        registry = self.registry = CollectorRegistry()

        def seconds(name: str, says: str) -> Histogram:
            return Histogram(name, says, registry=registry, buckets=_SECONDS)

        def sizes(name: str, says: str) -> Histogram:
            return Histogram(name, says, registry=registry, buckets=_SIZES)

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(name, says, labels, registry=registry)

        self.requests = counter("te_request_count", "Requests", "method")
        self.successes = counter("te_request_success", "Requests that were answered", "method")
        self.failures = counter("te_request_failure", "Requests that were not, by cause", "err")
        self.items = {
            kind: counter(f"te_{kind}_count", f"Texts asked for {kind}")
            for kind in ("embed", "predict")
        }
        self.answers = {
            kind: counter(f"te_{kind}_success", f"Texts answered by {kind}")
            for kind in ("embed", "predict")
        }
        self.seconds = {
            kind: {
                step: seconds(
                    "_".join(("te", kind, *([step] if step else []), "duration")),
                    f"Seconds of {step or 'a whole'} {kind}",
                )
                for step in ("", *_STEPS)
            }
            for kind in ("request", "embed", "predict")
        }
        self.lengths = sizes("te_request_input_length", "Tokens of a request")
        self.batch_size = sizes("te_batch_next_size", "Texts of a batch")
        self.batch_tokens = sizes("te_batch_next_tokens", "Tokens of a batch")
        self.queue = Gauge("te_queue_size", "Texts that wait to be computed", registry=registry)

    def batch(self, size: int, tokens: int) -> None:
        """Count a batch that is computed."""
        self.batch_size.observe(size)
        self.batch_tokens.observe(tokens)

    def spent(self, kind: Kind, tokenization_s: float, queue_s: float, inference_s: float) -> None:
        """Count what the steps of a request took."""
        for step, value in zip(_STEPS, (tokenization_s, queue_s, inference_s), strict=True):
            for name in ("request", kind):
                self.seconds[name][step].observe(value)

    def page(self) -> bytes:
        """Return all in Prometheus' text format, counters by TEI's names, which end in no total."""
        lines: list[str] = generate_latest(self.registry).decode().splitlines(keepends=True)
        kept = (_TOTAL.sub(r"\1", line) for line in lines if "_created" not in line)
        return "".join(kept).encode()
