"""`python -m benchmarks [NAME ...]`: run some or all, print what was measured."""

from __future__ import annotations

import sys

from benchmarks import dashboard, fleet, paint, parse, past, startup

ALL = {
    "parse": parse.main,
    "startup": startup.main,
    "fleet": fleet.main,
    "dashboard": dashboard.main,
    "paint": paint.main,
    "past": past.main,
}


def main() -> None:
    names = sys.argv[1:] or list(ALL)
    for name in names:
        print(f"\n== {name}")
        ALL[name]()


if __name__ == "__main__":
    main()
