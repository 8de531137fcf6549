"""History files of a test are closed when it ends, whatever it did with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cohete.telemetry.files import HistoryFiles


@pytest.fixture(autouse=True)
def closed_history(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[HistoryFiles] = []
    make = HistoryFiles.__init__

    def noted(self: HistoryFiles, *args: Any, **more: Any) -> None:
        make(self, *args, **more)
        opened.append(self)

    monkeypatch.setattr(HistoryFiles, "__init__", noted)
    yield
    for files in opened:
        files.close()
