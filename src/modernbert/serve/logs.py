"""What happened in, a line on standard error out: JSON, or a line for a person. Texts never are."""

import logging
import sys
import time
from typing import Any

import orjson

_NAME = "modernbert.serve"
logger = logging.getLogger(_NAME)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one object."""
        said: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **record.__dict__.get("fields", {}),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return orjson.dumps(said, default=str).decode()


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one line, the fields behind the message."""
        fields = record.__dict__.get("fields", {})
        line = " ".join([record.getMessage(), *(f"{key}={value}" for key, value in fields.items())])
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def set_up(form: str, level: str) -> None:
    """Log in this form, from this level on; what uvicorn says too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Plain())
    for name in (_NAME, "uvicorn.error"):
        one = logging.getLogger(name)
        one.handlers, one.propagate = [handler], False
        one.setLevel(level.upper())


def log(level: int, message: str, **fields: Any) -> None:
    """Say what happened, with fields beside it."""
    logger.log(level, message, extra={"fields": fields})
