"""What the application does for the setup wizard: opens it, asks for secrets, opens its result."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from textual import work

from cohete.errors import CoheteError
from cohete_tui.launch import Launch
from cohete_tui.link import LinkMeter
from cohete_tui.replay_app import ReplayApp, Session


class SetupApp(ReplayApp, inherit_bindings=False):
    """The part of the dashboard that sets boards up."""

    _launch: Launch

    def __init__(self, session: Session | None, link: LinkMeter, *, served: bool = False) -> None:
        super().__init__(session, link, served=served)
        self._is_setup_shown = asyncio.Event()

    async def _begin(self, launch: Launch) -> None:
        """Build the fleet and show it."""
        raise NotImplementedError

    @work(exit_on_error=False, exclusive=True, group="setup")
    async def set_up(self, device_id: str) -> None:
        """The setup wizard on a board; what it has written is opened at its end."""
        from cohete_tui.screens.setup import SetupScreen

        closed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        await self.push_screen(SetupScreen(device_id), closed.set_result)
        self._is_setup_shown.set()
        path = await closed
        if path:
            await self._open_config(path)

    async def _open_config(self, path: str) -> None:
        """Another fleet in place of this one."""
        from cohete.fleet.session import plan_fleet

        try:
            plan = await asyncio.to_thread(plan_fleet, (), path)
        except CoheteError as error:
            self.show_error(error)
            return
        session, self._session = self._session, None
        self._launch = replace(self._launch, plan=plan, demo=False, setup=False)
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if session is not None:
            await session.stop()
        await self._begin(self._launch)

    async def ask_secret(self, prompt: str) -> str:
        """A password, once; empty where somebody would not say it."""
        from cohete_tui.screens.asking import AskDialog

        # A board answers sooner than its screen is there, which must not lie on the question.
        await self._is_setup_shown.wait()
        typed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        about = ["It is sent to this board, and kept nowhere."]
        dialog = AskDialog(prompt, about, "password", is_secret=True)
        self.call_later(self.push_screen, dialog, typed.set_result)
        return await typed or ""
