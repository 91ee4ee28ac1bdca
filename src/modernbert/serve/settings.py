"""How a server is run: environment variables and flags in, checked settings out.

Each field is also an environment variable: MODERNBERT_ and its name in capitals.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modernbert.base.errors import ConfigError
from modernbert.infer.told import LEAST_BATCH_TOKENS, Runtime
from modernbert.serve.keys import digest_of_key, digests_in, is_digest

PREFIX = "MODERNBERT_"

Names = Annotated[tuple[str, ...], NoDecode]
Folders = Annotated[tuple[Path, ...], NoDecode]
"""In the environment with commas between them."""


class Settings(BaseSettings):
    """How requests are answered, and which are refused."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 is all of this machine's: set keys then."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """Port to listen at; 0 takes a free one."""
    index: Folders = ()
    """Folders that `modernbert index` wrote, for /search; the model of each is served too."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What computes."""
    runtime: Runtime = "torch"
    """torch; int8, the same with matrices in 8 bits on a CPU; or a graph of an export."""
    threads: int | None = Field(default=None, ge=1, le=4096)
    """Threads that compute a batch; by default all, or half of them where that is faster."""
    batch_tokens: int | None = Field(default=None, ge=LEAST_BATCH_TOKENS, le=65_536)
    """Tokens of a batch; by default so few that little is lost, as measured at the start."""
    api_key_hashes: Names = ()
    """SHA-256 of each key that is let in, in hexadecimal digits: printf %s KEY | sha256sum."""
    api_keys_file: Path | None = None
    """File with such hashes, one a line; what follows a # is a comment."""
    max_body_bytes: int = Field(default=4_000_000, ge=1)
    """Bytes of a request; a larger one is refused with 413."""
    max_items: int = Field(default=2048, ge=1)
    """Texts of a request; more are refused with 413."""
    max_request_tokens: int = Field(default=300_000, ge=1)
    """Tokens of a request; more are refused with 413."""
    max_waiting_items: int = Field(default=4096, ge=1)
    """Texts of all requests that are on their way; a request that goes beyond is refused with
    429."""
    timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """Seconds that a request may take; then it is given up with 503."""
    body_timeout_s: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    """Seconds that a client may take to send a request; then it is refused with 408."""
    drain_s: int = Field(default=30, ge=0)
    """Seconds that requests may still take once the server is told to end."""
    auto_truncate: bool = True
    """Cut texts that are too long where a request does not say; else they are refused with 422."""
    cors_origins: Names = ()
    """Origins whose pages may ask, such as https://example.org; * is all."""
    log_format: Literal["json", "text"] = "json"
    """How each request is logged: an object a line, or a line for a person."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged at least; texts never are."""

    @field_validator("index", "api_key_hashes", "cors_origins", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return _parts(given)

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _is_named(cls, given: object) -> object:
        if given == "":
            raise ValueError("it is empty: name a file, or leave it out")
        return given

    @field_validator("api_key_hashes")
    @classmethod
    def _are_digests(cls, hashes: tuple[str, ...]) -> tuple[str, ...]:
        for each in hashes:
            if not is_digest(each):
                raise ValueError(
                    f"{each[:8]}... is no SHA-256 in 64 hexadecimal digits: make one with "
                    "printf %s KEY | sha256sum"
                )
        return tuple(each.lower() for each in hashes)


class Private(BaseSettings):
    """What is for the environment alone."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    models: Names = ()
    """Models to serve where the command line names none."""
    api_key: SecretStr | None = None
    """A key itself: others on the machine can read a command line, and not this."""

    @field_validator("models", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return _parts(given)


def digests_of(settings: Settings, private: Private) -> tuple[bytes, ...]:
    """Return the digests of all keys that are let in; none lets everybody in.

    Raises:
        ConfigError: the file cannot be read, or holds what is no digest; the key is empty.
    """
    found = [bytes.fromhex(each) for each in settings.api_key_hashes]
    if settings.api_keys_file is not None:
        found += digests_in(settings.api_keys_file)
    if private.api_key is not None:
        key = private.api_key.get_secret_value()
        if not key.strip():
            raise ConfigError(f"{PREFIX}API_KEY is empty: set a key, or unset it")
        found.append(digest_of_key(key.strip(" \t\r\n").encode("utf-8", "surrogateescape")))
    return tuple(found)


def from_environment() -> tuple[Settings, Private]:
    """Read the environment.

    Raises:
        ConfigError: a variable is set to what its field cannot be.
    """
    try:
        return Settings(), Private()
    except ValidationError as error:
        name, said = fault_in(error)
        raise ConfigError(f"{PREFIX}{name.upper()} cannot be read: {said}") from error


def fault_in(error: ValidationError) -> tuple[str, str]:
    """Return the first field that is wrong, and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    return str(first["loc"][0]), first["msg"]


def variables() -> list[str]:
    """Return the names of all variables of the environment that are read."""
    return [PREFIX + name.upper() for name in (*Settings.model_fields, *Private.model_fields)]


def _parts(given: object) -> object:
    """Take a text with commas apart."""
    if not isinstance(given, str):
        return given
    return tuple(part.strip() for part in given.split(",") if part.strip())
