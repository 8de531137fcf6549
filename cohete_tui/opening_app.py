"""How the application begins: it opens a fleet, or leads through setting a board up to one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from textual import on, work

from cohete.errors import CoheteError
from cohete_tui.alerting import ring
from cohete_tui.launch import Launch
from cohete_tui.link import LinkMeter
from cohete_tui.replay_app import ReplayApp, Session
from cohete_tui.replaying import open_replay
from cohete_tui.screens.start import StartScreen


class OpeningApp(ReplayApp, inherit_bindings=False):
    """The part of the dashboard that opens fleets and sets boards up."""

    def __init__(self, launch: Launch, session: Session | None, *, timer: bool) -> None:
        super().__init__(session, LinkMeter(launch.max_kbps), served=launch.served)
        self._launch = launch
        self._timer = timer
        self._is_setup_shown = asyncio.Event()

    async def _begin(self, launch: Launch) -> None:
        """Build the fleet; heavy imports happen beside the event loop, after the first paint."""
        from cohete_tui.sessions import open_session

        try:
            if launch.replay is not None:
                session: Session = await open_replay(launch.replay)
            else:
                session = await open_session(launch, self.ask_secret if launch.setup else None)
        except CoheteError as error:
            self.exit(return_code=2, message=f"cohete-tui: {error}")
            return
        self._session = session
        session.start()
        self._show_fleet(session)

    def _show_fleet(self, session: Session) -> None:
        if session.alerts is not None:
            settings = session.alerts.settings
            session.alerts.on_notice = lambda notice: ring(self, settings, notice)
        from cohete_tui.screens.fleet import FleetScreen

        badges: tuple[str, ...] = ("DEMO",) if self._launch.demo else ()
        if self._launch.read_only:
            badges += ("READ-ONLY",)
        if self.player is not None:
            badges += ("REPLAY",)
        start = self._launch.plan.dashboard if self._launch.plan is not None else None
        self.push_screen(FleetScreen(session.store, start, badges=badges, timer=self._timer))
        if self._launch.model is not None:
            self.show_wizard(model=self._launch.model)
        if self._launch.setup and session.store.devices:
            self.set_up(session.store.devices[0].id)

    @on(StartScreen.Chosen)
    async def _door_chosen(self, event: StartScreen.Chosen) -> None:
        from cohete.fleet.session import plan_fleet

        start = next((s for s in self.screen_stack if isinstance(s, StartScreen)), None)
        if start is None:
            return
        demo = not event.targets and event.config_path is None
        plan = None
        try:
            if not demo:
                plan = await asyncio.to_thread(plan_fleet, event.targets, event.config_path)
        except CoheteError as error:
            start.show_error(str(error))
            return
        if not demo and plan is None:
            start.show_error("There is no device in this configuration.")
            return
        await self._open(replace(self._launch, plan=plan, demo=demo))

    @work(exit_on_error=False, exclusive=True, group="setup")
    async def set_up(self, device_id: str) -> None:
        """The setup wizard on a board; begun for that, what it has written is opened at its end."""
        from cohete_tui.screens.setup import SetupScreen

        closed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        plan = self._launch.plan
        screen = SetupScreen(device_id, config_path=plan.path if plan is not None else None)
        await self.push_screen(screen, closed.set_result)
        self._is_setup_shown.set()
        path = await closed
        if path and self._launch.setup:
            await self._open_config(path)
        elif path:
            # Whoever watches a fleet keeps it.
            self.notify(f"{path} has it: cohete-tui --config {path}", timeout=10, markup=False)

    async def _open_config(self, path: str) -> None:
        """Another fleet in place of this one."""
        from cohete.fleet.session import plan_fleet

        try:
            plan = await asyncio.to_thread(plan_fleet, (), path)
        except CoheteError as error:
            self.show_error(error)
            return
        await self._open(replace(self._launch, plan=plan, demo=False, setup=False))

    async def _open(self, launch: Launch) -> None:
        """This, in place of what is shown."""
        session, self._session = self._session, None
        self._launch = launch
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if session is not None:
            await session.stop()
        await self._begin(launch)

    async def ask_secret(self, prompt: str) -> str:
        """A password, once; empty where somebody would not say it."""
        from cohete_tui.screens.asking import AskDialog

        # A board answers sooner than its screen is there, which must not lie on the question.
        await self._is_setup_shown.wait()
        typed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        about = ["It is sent to this board, and kept nowhere."]
        dialog = AskDialog(prompt, about, "password", is_secret=True)

        def answered(text: str | None) -> None:
            if not typed.done():
                typed.set_result(text)

        self.call_later(self.push_screen, dialog, answered)
        try:
            return await typed or ""
        finally:
            # A login that is over waits for nobody's password.
            self.call_later(dialog.withdraw)
