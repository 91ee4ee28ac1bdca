import hashlib

import pytest

from modernbert.base.errors import ConfigError
from modernbert.serve.settings import (
    PREFIX,
    Private,
    Settings,
    digests_of,
    from_environment,
    variables,
)

DIGEST = hashlib.sha256(b"key").hexdigest()


def test_variables_of_the_environment_are_read(monkeypatch):
    for name, value in {
        "PORT": "9000",
        "INDEX": "one, two",
        "API_KEY_HASHES": DIGEST.upper(),
        "MODELS": "mini,run/model",
        "API_KEY": "secret",
        "AUTO_TRUNCATE": "false",
    }.items():
        monkeypatch.setenv(PREFIX + name, value)
    settings, private = from_environment()
    assert (settings.port, settings.auto_truncate) == (9000, False)
    assert [str(path) for path in settings.index] == ["one", "two"]
    assert private.models == ("mini", "run/model")
    assert "secret" not in repr(private)
    digests = digests_of(settings, private)
    assert digests == (bytes.fromhex(DIGEST), hashlib.sha256(b"secret").digest())
    assert PREFIX + "API_KEY" in variables()
    assert len(variables()) == len({*variables()}) == len(Settings.model_fields) + 2


def test_keys_may_lie_in_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# of two people\n{DIGEST}  # one\n\n{DIGEST}\n", encoding="utf-8")
    assert digests_of(Settings(api_keys_file=file), Private()) == (bytes.fromhex(DIGEST),) * 2
    for content, says in (
        ("key\n", "line 1 is no SHA-256 in 64 hexadecimal digits: make one with"),
        ("# nobody\n", "holds no key, so nobody could ask: add one, or leave it out"),
    ):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=says):
            digests_of(Settings(api_keys_file=file), Private())
    with pytest.raises(ConfigError, match="cannot be read"):
        digests_of(Settings(api_keys_file=tmp_path / "none"), Private())


def test_an_empty_file_of_keys_lets_nobody_in_by_mistake(monkeypatch):
    monkeypatch.setenv(PREFIX + "API_KEYS_FILE", "")
    with pytest.raises(ConfigError, match=r"MODERNBERT_API_KEYS_FILE cannot be read: .* is empty:"):
        from_environment()


def test_an_empty_key_lets_nobody_in_by_mistake():
    with pytest.raises(ConfigError, match="MODERNBERT_API_KEY is empty: set a key, or unset it"):
        digests_of(Settings(), Private(api_key=" "))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "http", "MODERNBERT_PORT cannot be read: "),
        ("API_KEY_HASHES", "key", "no SHA-256 in 64 hexadecimal digits: make one with"),
        ("MAX_ITEMS", "0", "MODERNBERT_MAX_ITEMS cannot be read: "),
    ],
)
def test_wrong_variables_are_named(monkeypatch, name, value, says):
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigError, match=says):
        from_environment()
