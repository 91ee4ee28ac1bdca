import pytest

from modernbert.cli.main import main


@pytest.fixture
def refused(capsys):
    """Run a command that must fail; return its one sentence."""

    def run(*arguments) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        assert caught.value.code == 2
        said = capsys.readouterr().err.splitlines()
        assert [line.startswith("error: ") for line in said].count(True) == 1
        assert said[-1].startswith("error: ")
        return said[-1]

    return run
