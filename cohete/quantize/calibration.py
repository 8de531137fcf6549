"""What the runtime takes on a board beside the model: measured there once, used from then on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cohete.errors import CoheteError, ConfigError
from cohete.kept import keep

FILE = "overheads.json"
MOST_MIB = 4096.0
"""More than this is something else that was started meanwhile."""
_MAX_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Calibration:
    """`overhead_mib` as it came of serving `model`, at `measured_at` (UTC, ISO 8601)."""

    overhead_mib: float
    model: str
    measured_at: str


def overhead_of(before_mib: float, after_mib: float, buffers_mib: float) -> float:
    """From what could be had before and with the server, and what its buffers need; all MiB.

    Raises CoheteError where that cannot be of this server alone.
    """
    found = before_mib - after_mib - buffers_mib
    if not 0 <= found <= MOST_MIB:
        raise CoheteError(
            f"{before_mib - after_mib:.0f} MiB went and its buffers need {buffers_mib:.0f}: "
            "that is not this server alone",
            hint="Serve this very file with these options, without mmap, and start nothing beside.",
        )
    return found


class Calibrations:
    """Those of all boards, in the state folder. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def of(self, board: str) -> Calibration | None:
        """By what a board is known by (`device.identity.known_by`). Never raises."""
        found = self._all().get(_key(board))
        with contextlib.suppress(TypeError, ValueError, KeyError):
            if isinstance(found, dict):
                mib = float(found["overhead_mib"])
                if 0 <= mib <= MOST_MIB:
                    return Calibration(mib, str(found["model"])[:200],
                                       str(found["measured_at"])[:32])  # fmt: skip
        return None

    def keep(self, board: str, calibration: Calibration) -> None:
        """From now on. Raises ConfigError where it cannot be kept."""
        boards = self._all() | {_key(board): asdict(calibration)}
        try:
            keep(self._path, json.dumps({"version": 1, "boards": boards}))
        except OSError as error:
            raise ConfigError(
                f"what was measured cannot be kept: {error.strerror}", path=str(self._path)
            ) from None

    def _all(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            document = json.loads(self._path.read_bytes()[:_MAX_BYTES])
            if isinstance(document, dict) and document.get("version") == 1:
                boards = document.get("boards")
                if isinstance(boards, dict):
                    return boards
        return {}


def _key(board: str) -> str:
    return hashlib.sha256(board.encode()).hexdigest()[:40]
