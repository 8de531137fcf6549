"""How fast a board's disk is: sequential, and 4 KiB at random, past the page cache.

A Python that every Jetson has runs on the board: it writes a hidden file with O_DIRECT and fsync,
reads it back with O_DIRECT, and removes it, whatever happens. It refuses where there is no room.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from cohete.control.change import Change, Step, Verdict, by_exit_status
from cohete.errors import ChangeRefused, CommandError
from cohete.links.base import Completed
from cohete.text import decode, sanitise

SIZE_MB = 512
SPARE_MB = 1_024
RANDOM_S = 5.0
LIMIT_S = 300.0
_PROGRAM = """
import json, mmap, os, random, sys, tempfile, time
folder, size, spare, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
room = os.statvfs(folder)
free = room.f_bavail * room.f_frsize >> 20
if free < size + spare:
    sys.exit("%d MB are free, %d and %d to spare are needed" % (free, size, spare))
big = 4 << 20
area = mmap.mmap(-1, big)
area.write(os.urandom(big))
handle, path = tempfile.mkstemp(prefix=".cohete-benchmark-", dir=folder)
os.close(handle)
try:
    try:
        f = os.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError as e:
        sys.exit("this file system cannot be read past the cache: " + e.strerror)
    t = time.perf_counter()
    for _ in range(size // 4):
        os.writev(f, [area])
    os.fsync(f)
    write = time.perf_counter() - t
    os.lseek(f, 0, 0)
    t = time.perf_counter()
    for _ in range(size // 4):
        os.readv(f, [area])
    read = time.perf_counter() - t
    small = mmap.mmap(-1, 4096)
    spans, end = [], time.perf_counter() + seconds
    while not spans or time.perf_counter() < end:
        os.lseek(f, random.randrange(size << 8) << 12, 0)
        t = time.perf_counter()
        os.readv(f, [small])
        spans.append(time.perf_counter() - t)
    os.close(f)
finally:
    os.unlink(path)
spans.sort()
n = len(spans)
pick = lambda q: 1e6 * spans[min(n - 1, int(q * n))]
print(json.dumps({"write_mb_s": size * 1.048576 / write, "read_mb_s": size * 1.048576 / read,
    "iops": n / sum(spans), "p50_us": pick(.5), "p95_us": pick(.95), "p99_us": pick(.99)}))
"""


@dataclass(frozen=True, slots=True)
class Speed:
    """MB/s (1e6 bytes) one after the other; 4 KiB reads at random a second, and how long each took
    at the 50th, 95th and 99th percentile, in microseconds."""

    write_mb_s: float
    read_mb_s: float
    iops: float
    p50_us: float
    p95_us: float
    p99_us: float

    @property
    def words(self) -> str:
        """For a person."""
        return (
            f"write {self.write_mb_s:.0f} MB/s, read {self.read_mb_s:.0f} MB/s, {self.iops:.0f} "
            f"random reads/s (p50 {self.p50_us:.0f}, p95 {self.p95_us:.0f}, "
            f"p99 {self.p99_us:.0f} us)"
        )


def step_for(folder: str, size_mb: int = SIZE_MB, random_s: float = RANDOM_S) -> Step:
    """The command. Raises ChangeRefused for what is no folder."""
    if not folder.startswith("/") or "\0" in folder or len(folder) > 255:
        raise ChangeRefused(f"`{sanitise(folder, 60)}` is no folder on a board")
    argv = ("python3", "-c", _PROGRAM, folder, str(size_mb), str(SPARE_MB), f"{random_s:g}")
    title = f"measure {folder} with a file of {size_mb} MB"
    return Step(title, argv, judge=_judge, limit_s=LIMIT_S)


def change_for(device: str, step: Step) -> Change:
    """What is shown and written down of it."""
    return Change(
        device,
        step.title,
        "not known",
        "measured",
        (step,),
        notes=("Slows what reads and writes there for some seconds; wears an SD card a little.",),
        undo_words="Nothing stays: its file is removed.",
    )


def _judge(done: Completed) -> Verdict:
    if done.exit_status == 127:
        return Verdict(False, "there is no python3 on this board")
    return by_exit_status(done)


def speed_from(step: Step, done: Completed) -> Speed:
    """What was measured. Raises CommandError with the board's reason where nothing was."""
    verdict = step.verdict(done)
    if not verdict.ok:
        raise CommandError(verdict.words)
    try:
        found = json.loads(decode(done.stdout))
        values = {name: float(found[name]) for name in Speed.__slots__}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CommandError("what it measured cannot be read") from None
    if not all(math.isfinite(value) and value >= 0 for value in values.values()):
        raise CommandError("what it measured cannot be read")
    return Speed(**values)


def compared(before: Speed, now: Speed) -> str:
    """How it is beside the baseline, in words."""
    parts = [
        f"{name} {100 * after / first:.0f} %"
        for name, first, after in (
            ("write", before.write_mb_s, now.write_mb_s),
            ("read", before.read_mb_s, now.read_mb_s),
            ("random reads", before.iops, now.iops),
        )
        if first > 0
    ]
    return f"{', '.join(parts)} of the baseline"


def is_slower(before: Speed, now: Speed, share: float = 0.7) -> bool:
    """Whether any of the three fell below this share of the baseline."""
    return (
        now.write_mb_s < share * before.write_mb_s
        or now.read_mb_s < share * before.read_mb_s
        or now.iops < share * before.iops
    )
