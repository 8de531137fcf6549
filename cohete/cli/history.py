"""`cohete history`: what was measured on a device, from what Cohete kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from cohete.cli.options import config_option

if TYPE_CHECKING:
    from pathlib import Path

    from cohete.telemetry.past import Past


@click.command()
@click.argument("device", required=False)
@click.option(
    "--from",
    "from_text",
    default="1h",
    show_default=True,
    help="Since when: 2h (ago), 14:30, or 2026-11-20 14:30.",
)
@click.option("--to", "to_text", default="now", show_default=True, help="Until when, likewise.")
@click.option("--step", "step_text", help="A line each: 1s, 5m, 1h. Else some 60 lines.")
@click.option("--columns", metavar="NAMES", help="Only these, separated by commas.")
@click.option("--json", "form", flag_value="json", help="JSON lines.")
@click.option("--csv", "form", flag_value="csv", help="CSV with every column.")
@click.option(
    "--parquet",
    "parquet_path",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write a Parquet file; needs pyarrow.",
)
@config_option
def command(
    device: str | None,
    from_text: str,
    to_text: str,
    step_text: str | None,
    columns: str | None,
    form: str | None,
    parquet_path: str | None,
    config_path: str | None,
) -> None:
    """What was measured on DEVICE; without one, the devices there is history of.

    Temperatures in C, power in W, memory in MB, loads in %. Each value is the mean of its step;
    JSON, CSV and Parquet also have the lowest (NAME_min) and the highest (NAME_max). Empty is
    unknown.
    """  # fmt: skip
    import contextlib
    from datetime import datetime

    from cohete.errors import CoheteError
    from cohete.telemetry.files import HistoryFiles
    from cohete.telemetry.query import past
    from cohete.telemetry.when import parse_span_ms, parse_when_ms

    folder = _folder(config_path)
    if device is None:
        with contextlib.closing(HistoryFiles(folder)) as files:
            names = files.devices()
        click.echo("\n".join(names) if names else f"There is no history in {folder} yet.")
        return
    now = datetime.now().astimezone()
    from_ms, to_ms = parse_when_ms(from_text, now), parse_when_ms(to_text, now)
    if from_ms >= to_ms:
        raise CoheteError("--from is not before --to")
    step_ms = parse_span_ms(step_text) if step_text else _step_ms(to_ms - from_ms)
    with contextlib.closing(HistoryFiles(folder)) as files:
        found = past(files, device, from_ms, to_ms, step_ms)
        _complain(files.troubles)
        names = files.devices() if not found.times_ms else []
    if not found.times_ms:
        known = ", ".join(names[:8]) or "none yet"
        raise CoheteError(
            "there is no history of it in this time",
            where=device,
            hint=f"Devices with history: {known}.",
        )
    table = _Table(found, columns.split(",") if columns else None)
    if parquet_path is not None:
        _write_parquet(table, parquet_path)
    elif form == "json":
        table.print_json()
    elif form == "csv":
        table.print_csv()
    else:
        table.print_plain()


class _Table:
    """Series in the units a person reads, one row a step."""

    def __init__(self, found: Past, wanted: list[str] | None) -> None:
        from cohete.errors import CoheteError
        from cohete.telemetry.series import unit_of

        self._found = found
        self.titles: list[str] = []
        self.series: list[list[float | None]] = []
        self.plain: list[int] = []
        titles = {name: _title(name) for name in found.means}
        if wanted is not None and (missing := set(wanted) - set(titles.values())):
            raise CoheteError(
                f"there is no column {sorted(missing)[0]!r}",
                hint=f"Columns: {', '.join(titles.values())}.",
            )
        for name, title in titles.items():
            if wanted is not None and title not in wanted:
                continue
            divisor = unit_of(name).divisor
            self.plain.append(len(self.titles))
            for end, values in (
                ("", found.means[name]),
                ("_min", found.lows[name]),
                ("_max", found.highs[name]),
            ):
                self.titles.append(title + end)
                self.series.append([None if v is None else v / divisor for v in values])

    def rows(self) -> Iterable[tuple[str, list[float | None]]]:
        from datetime import UTC, datetime

        for nth, time_ms in enumerate(self._found.times_ms):
            when = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
            yield when, [values[nth] for values in self.series]

    def print_json(self) -> None:
        import json

        for when, values in self.rows():
            click.echo(json.dumps({"at": when, **dict(zip(self.titles, values, strict=True))}))

    def print_csv(self) -> None:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["at", *self.titles])
        for when, values in self.rows():
            writer.writerow([when, *["" if value is None else value for value in values]])

    def print_plain(self) -> None:
        from datetime import datetime

        from cohete.cli.table import format_table

        # A trailing blank keeps a column left-aligned, as in the other tables.
        titles = ["TIME ", *[self.titles[at].upper() for at in self.plain]]
        rows = []
        for when, values in self.rows():
            local = datetime.fromisoformat(when).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            cells = ["–" if values[at] is None else f"{values[at]:.1f}" for at in self.plain]
            rows.append((local, *cells))
        click.echo(format_table(tuple(titles), rows))


def _title(column: str) -> str:
    """`hottest_mc` as `hottest_c`, `zone_mc.cpu` as `zone_c.cpu`: the unit that is shown."""
    base, dot, name = column.partition(".")
    stem, _, unit = base.rpartition("_")
    return f"{stem}_{_SHOWN_UNITS.get(unit, unit)}{dot}{name}"


_SHOWN_UNITS = {"mc": "c", "mw": "w", "permille": "percent"}


def _write_parquet(table: _Table, path: str) -> None:
    from cohete.errors import CoheteError

    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise CoheteError(
            "Parquet needs pyarrow, which is not installed", hint="pip install pyarrow, or --csv."
        ) from None
    rows = [when for when, _ in table.rows()]
    columns = dict(zip(table.titles, table.series, strict=True))
    try:
        pyarrow.parquet.write_table(pyarrow.table({"at": rows, **columns}), path)
    except OSError as error:
        raise CoheteError(f"cannot write it: {error.strerror or error}", where=path) from None


def _step_ms(span_ms: int) -> int:
    steps = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 6 * 3600, 86_400)
    return next((s * 1000 for s in steps if span_ms / (s * 1000) <= 60), steps[-1] * 1000)


def _folder(config_path: str | None) -> Path:
    from cohete.config.loading import find_config, load
    from cohete.config.schema import Telemetry
    from cohete.fleet.session import history_folder

    path = find_config(config_path)
    return history_folder(load(path).telemetry if path is not None else Telemetry())


def _complain(troubles: list[str]) -> None:
    for trouble in troubles:
        click.echo(f"cohete: {trouble}", err=True)
