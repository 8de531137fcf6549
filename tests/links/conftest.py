"""Links are proven on both loops: the one that ships and the one that is always there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cohete.loop import loop_factory


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    found = {"asyncio": asyncio.new_event_loop}
    if (shipped := loop_factory()) is not asyncio.new_event_loop:
        found["uvloop"] = shipped
    return found
