from __future__ import annotations

import asyncio
import sys

import pytest

from cohete import loop


def test_programs_run_on_uvloop_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this platform")

    async def own() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert isinstance(loop.run(own()), uvloop.Loop)


def test_without_uvloop_asyncio_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def own() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert loop.run(own()).startswith("asyncio.")


def test_an_error_inside_comes_out() -> None:
    async def fails() -> None:
        raise LookupError("orin-3")

    with pytest.raises(LookupError, match="orin-3"):
        loop.run(fails())
