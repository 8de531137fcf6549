"""What every test shares: a quiet environment, the corpus, and bounded property tests."""

from __future__ import annotations

import os
import tempfile

# Textual reads these when it is imported, so they are settled first.
for _name in ("NO_COLOR", "FORCE_COLOR", "TEXTUAL", "TEXTUAL_THEME", "TEXTUAL_DRIVER"):
    os.environ.pop(_name, None)
os.environ.update(
    TEXTUAL_ANIMATIONS="none",
    TEXTUAL_COLOR_SYSTEM="truecolor",
    COLORTERM="truecolor",
    TZ="UTC",
    LC_ALL="C.UTF-8",
    # Small matrices are multiplied faster by one thread; read when numpy is loaded.
    OPENBLAS_NUM_THREADS="1",
)
os.environ.pop("COHETE_CONFIG", None)
# Neither the history nor the themes and keys of whoever runs the tests are touched.
_HOME = tempfile.TemporaryDirectory(prefix="cohete-tests-")
for _name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
    os.environ[_name] = f"{_HOME.name}/{_name}"
os.environ.pop("SSH_AUTH_SOCK", None)

import signal  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

time.tzset()
# Who starts the tests in the background of a script hands down an interrupt that is ignored, and
# every program that they begin would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile(
    "cohete",
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("cohete")

CORPUS = Path(__file__).parents[1].parent / "shared" / "corpus"
SPEC = CORPUS.parent / "spec"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real captures beside the project; tests that need it skip without it."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real captures is not beside this project (../shared/corpus)")
    return CORPUS


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real ssh or configuration is read or written."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "tester")
