"""The dashboard in a browser: who gets in, what is shown, and that it cannot write."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from click.testing import CliRunner
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from textual_serve.download_manager import DownloadManager

from cohete_tui.app import CoheteApp
from cohete_tui.commands import typed_on
from cohete_tui.launch import Launch
from cohete_tui.serve import child_command, command, is_loopback, plain_url
from cohete_tui.web.server import BoundedService
from tests.openssh import free_port
from tests.tui.support import StillSession, mixed_store, notices, settle, text_of

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
TOKEN = "a+token&for/this test"


@contextmanager
def served(*options: str, **environ: str) -> Iterator[str]:
    """A served demo; its address."""
    port = free_port()
    code = "from cohete_tui.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--demo", "--port", str(port), *options],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **environ},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert f"127.0.0.1:{port}" in line
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


async def status(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
        return answer.status


async def test_a_page_gets_a_dashboard_and_another_site_does_not() -> None:
    with served("--most", "1") as url:
        assert await status(url) == 200
        assert await status(url, Host="evil.example") == 403
        assert await status(f"{url}/ws", Origin="http://evil.example") == 403
        assert await status(f"{url}/ws", Origin="http://[") == 403
        assert await status(f"{url}/static/js/textual.js") == 200
        page = f"{url}/ws?width=100&height=30"
        async with aiohttp.ClientSession() as client, client.ws_connect(page, origin=url) as ws:
            seen = b""
            async with asyncio.timeout(30):
                while b"READ-ONLY" not in seen:
                    seen += await ws.receive_bytes()
                assert await status(f"{url}/ws", Origin=url) == 503
                await ws.send_json(["stdin", "?"])
                while b"Switch between panes and table" not in seen:
                    seen += await ws.receive_bytes()


async def test_with_a_token_nobody_gets_in_without_it() -> None:
    with served("--token", COHETE_TOKEN=TOKEN) as url:
        assert await status(url) == 401
        assert await status(f"{url}/?token=wrong") == 401
        assert await status(f"{url}/static/js/textual.js") == 401
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
            async with client.get(
                f"{url}/?token={quote(TOKEN, safe='')}", allow_redirects=False
            ) as answer:
                assert answer.status == 303
                assert answer.headers["Location"] == "/"
                assert "HttpOnly" in answer.headers["Set-Cookie"]
            async with client.get(url) as answer:
                assert answer.status == 200
                assert TOKEN not in await answer.text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--demo", "--host", "10.0.0.9", "--no-token"], "on this machine only"),
        (["--demo", "--host", "0.0.0.0"], "--public-url says which one"),
        (["--demo", "--public-url", "board.example"], "is http:// or https://"),
        (["--demo", "--public-url", "https://x/path"], "is http:// or https://"),
        (["--demo", "--public-url", "https://x", "--no-token"], "on this machine only"),
        (["--config", "/nowhere/cohete.yaml"], "nowhere"),
    ],
)
def test_what_is_refused_before_anything_listens(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"


def test_an_address_as_a_browser_writes_it() -> None:
    assert plain_url("https://Board.Example:443/") == "https://board.example"
    assert plain_url("http://[::1]:8080") == "http://[::1]:8080"


async def test_a_dashboard_that_hangs_is_ended() -> None:
    async def nowhere(data: object = None) -> None:
        """Nobody looks."""

    code = "import sys, time; print('__GANGLION__', flush=True); time.sleep(600)"
    service = BoundedService(
        shlex.join([sys.executable, "-c", code]), write_bytes=nowhere, write_str=nowhere,
        close=nowhere, download_manager=DownloadManager(),
    )  # fmt: skip
    service.stop_s = 0.2
    await service.start(80, 24)
    process = service._process
    assert process is not None
    await service.stop()
    assert process.returncode == -9
    await service.stop()


def test_a_target_is_never_an_option_or_a_command() -> None:
    line = child_command(["--config", "a; touch /tmp/x"], ["--demo"])
    assert line.endswith("--read-only --demo -- --config 'a; touch /tmp/x'")
    assert [is_loopback(host) for host in ("localhost", "::1", "0.0.0.0", "board")] == [
        True, True, False, False,
    ]  # fmt: skip


async def test_in_a_browser_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = StillSession(mixed_store())
    app = CoheteApp(Launch(served=True), session=session, timer=False)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settle(pilot)
        assert "export" not in {command.name for command in typed_on(app.screen)}
        await pilot.press("exclamation_mark", "R")
        await app.run_action("save_screenshot")
        await pilot.pause()
        said = notices(app)
        for what in ("A shell", "A recording", "A picture"):
            assert f"{what}: not in the browser" in said
        await pilot.press("ctrl+s")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "export" in notices(app)
        session.store["mast"].key_line = "host ssh-ed25519 AAAA"
        app.ask_about_keys([session.store["mast"]])
        await pilot.pause()
        assert "Trust" not in text_of(app)
        assert session.accepted == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="no Chromium with its driver on this machine (scripts/system-packages installs them)",
)
def test_a_browser_shows_it_and_keys_reach_it(tmp_path: Path) -> None:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 "--window-size=1000,700", f"--user-data-dir={tmp_path}/profile"):  # fmt: skip
        options.add_argument(flag)
    with served() as url:
        browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        try:
            browser.get(url)
            wait_for_class(browser, "-first-byte")
            assert browser.title == "Cohete"
            first = wait_for_picture(browser, b"")
            browser.execute_script("return 1")
            ActionChains(browser).send_keys("?").perform()
            wait_for_picture(browser, first)
            ActionChains(browser).send_keys("q").pause(0.5).send_keys("q").perform()
            wait_for_class(browser, "-closed")
            assert "The dashboard has ended" in browser.find_element(By.ID, "closed").text
        finally:
            browser.quit()


def wait_for_class(browser: webdriver.Chrome, name: str) -> None:
    deadline = time.monotonic() + 30
    while name not in (browser.find_element(By.TAG_NAME, "body").get_attribute("class") or ""):
        assert time.monotonic() < deadline, f"the page never became {name}"


def wait_for_picture(browser: webdriver.Chrome, before: bytes) -> bytes:
    """Another picture than before, with more in it than a plain page compresses to."""
    deadline = time.monotonic() + 30
    while (picture := browser.get_screenshot_as_png()) == before or len(picture) < 20_000:
        assert time.monotonic() < deadline, "nothing was drawn"
    return picture
