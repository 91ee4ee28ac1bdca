import shutil

import pytest

from modernbert.cli.main import main


@pytest.fixture(scope="module")
def browser():
    """Start a real browser, without a window."""
    from tests.pages import ARGUMENTS

    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


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
