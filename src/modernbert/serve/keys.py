"""Keys of clients: kept as digests, compared in constant time."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from pathlib import Path

from modernbert.base.errors import ConfigError, reason_of

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def digest_of_key(key: bytes) -> bytes:
    """Return what is kept of a key: keys are long and random, so SHA-256 once hides them."""
    return hashlib.sha256(key).digest()


def is_digest(text: str) -> bool:
    """Return whether this is the SHA-256 of something in hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def digests_in(path: Path) -> list[bytes]:
    """Read digests from a file, one a line; what follows a # is a comment.

    Raises:
        ConfigError: it cannot be read, holds none, or holds what is no digest.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({reason_of(error)}): give a file of SHA-256 digests of keys"
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text and not is_digest(text):
            raise ConfigError(
                f"{path}, line {number} is no SHA-256 in 64 hexadecimal digits: make one with "
                "printf %s KEY | sha256sum"
            )
        found += [bytes.fromhex(text)] if text else []
    if not found:
        raise ConfigError(f"{path} holds no key, so nobody could ask: add one, or leave it out")
    return found


def is_let_in(authorization: str, digests: Sequence[bytes]) -> bool:
    """Return whether a header names one of the keys, in a time that does not depend on which."""
    scheme, _, key = authorization.partition(" ")
    # HTTP says nothing of letters in headers: what was sent are these bytes.
    given = digest_of_key(key.strip(" \t").encode("latin-1"))
    # All are compared, whichever fits.
    matches = [hmac.compare_digest(given, each) for each in digests]
    return scheme.lower() == "bearer" and any(matches)
