"""Power of boards at their own sensor, for `cohete power measure`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cohete.config.spec import DeviceSpec
    from cohete.device.ina3221 import PowerTrace
    from cohete.errors import CoheteError
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan

    Found = tuple[DeviceSpec, PowerTrace | CoheteError]

SENSOR_S = 2.0
"""A board that has shown no sensor by then has none that can be read."""
_TITLES = ("DEVICE ", "SAMPLES", "EVERY", "MEAN", "P99", "PEAK", "RAILS ")


async def measure_all(plan: FleetPlan, interval_ms: int, for_s: float) -> list[Found]:
    """Every board at the same time."""
    from cohete.clock import SystemClock
    from cohete.device.ina3221 import PowerTrace, Reader
    from cohete.errors import CoheteError
    from cohete.links.commands import power_samples, tegrastats
    from cohete.links.opener import make_opener
    from cohete.links.ssh import SshConnector
    from cohete.tegra import parse
    from cohete.text import decode

    connector = SshConnector(plan.ssh)
    clock = SystemClock()
    opener = make_opener(connector, clock)

    async def one(spec: DeviceSpec) -> Found:
        trace, reader = PowerTrace(), Reader()

        def take(lines: list[bytes]) -> None:
            now = clock.monotonic()
            for line in lines:
                rails = reader.take(line)
                if rails is not None:
                    trace.add(now, rails)

        def take_tegrastats(lines: list[bytes]) -> None:
            now = clock.monotonic()
            for line in lines:
                stats = parse(decode(line))
                if stats is not None:
                    trace.add(now, stats.rails)

        link = opener(spec)
        try:
            await link.open()
            stream = await link.stream(power_samples(interval_ms), take)
            await clock.sleep(min(for_s, SENSOR_S))
            if not trace.watts:
                stream.close()
                trace.source = "tegrastats"
                argv = tegrastats(max(100, interval_ms), sudo=spec.sudo)
                stream = await link.stream(argv, take_tegrastats)
                await clock.sleep(min(for_s, SENSOR_S))
            await clock.sleep(for_s - SENSOR_S)
            stream.close()
        except CoheteError as error:
            return spec, error
        finally:
            await link.close()
        if not trace.watts:
            return spec, CoheteError(
                "its power cannot be measured",
                hint="Neither an INA3221 under /sys nor tegrastats shows any.",
            )
        return spec, trace

    try:
        return list(await asyncio.gather(*(one(spec) for spec in plan.specs if spec.enabled)))
    finally:
        await connector.close()


def print_traces(found: list[Found], *, as_json: bool) -> bool:
    """Print them; True where every board could be measured."""
    if as_json:
        click.echo(json.dumps({"devices": [_as_dict(each) for each in found]}, indent=2))
    else:
        from cohete.cli.table import format_table

        click.echo(format_table(_TITLES, [_row(each) for each in found]))
    return not any(isinstance(trace, Exception) for _, trace in found)


def _row(found: Found) -> tuple[str, ...]:
    spec, trace = found
    if isinstance(trace, Exception):
        return (spec.id, *["–"] * 5, f"{trace.what}. {trace.hint}")
    interval = "–" if trace.interval_s is None else f"{1000 * trace.interval_s:.0f} ms"
    rails = ", ".join(f"{name} {watts:.1f} W" for name, watts in trace.most_w.items())
    values = (trace.mean_w, trace.percentile_w(0.99), trace.peak_w)
    watts = ("–" if value is None else f"{value:.2f} W" for value in values)
    notes = [f"at most {rails}"]
    if trace.source != "sensor":
        notes.append("from tegrastats: its sensor cannot be read, and spikes between are not seen")
    if trace.is_frozen:
        notes.append("it has not changed for a while: does the sensor stand still?")
    return (spec.id, str(len(trace.watts)), interval, *watts, "; ".join(notes))


def _as_dict(found: Found) -> dict[str, Json]:
    spec, trace = found
    if isinstance(trace, Exception):
        return {"id": spec.id, "error": str(trace)}
    most: dict[str, Json] = dict(trace.most_w)
    return {
        "id": spec.id,
        "samples": len(trace.watts),
        "interval_s": trace.interval_s,
        "mean_w": trace.mean_w,
        "p99_w": trace.percentile_w(0.99),
        "peak_w": trace.peak_w,
        "rails_most_w": most,
        "source": trace.source,
        "frozen": trace.is_frozen,
    }
