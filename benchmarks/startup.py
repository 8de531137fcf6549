"""How long until there is something to see, beside a bare interpreter."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

RUNS = 9


def median_s(*argv: str) -> float:
    taken = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - begin)
    return sorted(taken)[RUNS // 2]


def demo_s() -> tuple[float, float]:
    """Seconds until the first paint of the demo, and until its first live pane."""
    begin = time.perf_counter()
    pid, master = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        code = "from cohete_tui.cli import main; main()"
        os.execv(sys.executable, [sys.executable, "-c", code, "--demo"])
    output = b""
    paint = live = 0.0
    while not live:
        output += os.read(master, 65536)
        now = time.perf_counter() - begin
        if not paint and b"connecting" in output:
            paint = now
        if b"live" in re.sub(rb"\x1b\[[0-9;:?]*[a-zA-Z]", b"", output) and re.search(
            rb"[1-9]\d* live", re.sub(rb"\x1b\[[0-9;:?]*[a-zA-Z]", b"", output)
        ):
            live = now
    os.write(master, b"q")
    os.waitpid(pid, 0)
    os.close(master)
    return paint, live


def main() -> None:
    bare = median_s(sys.executable, "-c", "pass")
    print(f"bare interpreter: {bare * 1000:.0f} ms")
    for module in ("cohete.cli", "cohete_tui.cli"):
        code = f"import sys; sys.argv[1:] = ['--help']; from {module} import main; main()"
        taken = median_s(sys.executable, "-c", code)
        print(f"{module} --help: {taken * 1000:.0f} ms, {taken / bare:.1f} times (limit 10)")
    paints = [demo_s() for _ in range(3)]
    paint, live = sorted(paints)[1]
    print(
        f"demo: first fleet paint {paint:.2f} s (limit 1), first live pane {live:.2f} s (limit 3)"
    )
