"""Kills real runs at random points, as many times as asked for, and counts what is lost: `make soak KILLS=500`.

    python -m tests.soak [--kills 200] [--seed 0] [--cases "best on val"]
    python -m tests.soak --every-change     one run for each change to a file, killed just before it

Each run is killed up to four times, let finish, and compared with an undisturbed one, file by file and bit for bit.
Exit status: 0 nothing was lost, 1 something was.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests import kills
from tests.zygote import Zygote

MOST = 4  # kills of one run


def place(plan: tuple, n_changes: int, n_lines: int) -> str:
    """Roughly where a kill hits: the start, the training, or what follows it."""
    part = plan[1] / (n_changes if plan[0] == "change" else n_lines)
    return f"{plan[0]} {int(4 * min(part, 0.99)) + 1}/4"


def every_change(bench: kills.Bench, case: list[str]) -> Counter:
    """Kills a run of a case before each of its changes to a file in turn; returns the number of changes."""
    wanted, n_changes, _ = bench.undisturbed(case)
    for k in range(1, n_changes + 1):
        bench.disturb(case, [("change", k)], wanted)
        print(f"\r{len(bench.kills)} kills, {bench.n_runs} runs, {len(bench.lost)} lost", end="", flush=True)
    return Counter({" ".join(case): n_changes})


def soak(bench: kills.Bench, case: list[str], n_kills: int, draw: random.Random) -> Counter:
    """Kills runs of a case until so many kills have hit; returns how many hit each part of a run."""
    wanted, n_changes, n_lines = bench.undisturbed(case)
    before = len(bench.kills)
    goal = before + n_kills
    while len(bench.kills) < goal:
        n = min(draw.randint(1, MOST), goal - len(bench.kills))
        bench.disturb(case, kills.random_plans(draw, n, n_changes, n_lines), wanted)
        print(f"\r{len(bench.kills)} kills, {bench.n_runs} runs, {len(bench.lost)} lost", end="", flush=True)
    return Counter(place(plan, n_changes, n_lines) for plan in bench.kills[before:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every-change", action="store_true")
    parser.add_argument("--cases", nargs="+", default=list(kills.CASES), choices=list(kills.CASES))
    args = parser.parse_args()
    start, hits = time.monotonic(), Counter()
    with tempfile.TemporaryDirectory() as folder, Zygote() as zygote:
        bench = kills.Bench(Path(folder), zygote)
        for i, name in enumerate(args.cases):
            if args.every_change:
                hits += every_change(bench, kills.CASES[name])
            else:
                share = (args.kills + i) // len(args.cases)
                hits += soak(bench, kills.CASES[name], share, random.Random(f"{args.seed} {name}"))
    print("\nwhere they hit (changes of files and printed lines, by quarter of a run; or each change):")
    print("  " + ", ".join(f"{key}: {hits[key]}" for key in sorted(hits)))
    seconds = time.monotonic() - start
    print(f"{len(bench.kills)} kills of {bench.n_runs} runs in {seconds:.0f} s; lost: {len(bench.lost) or 'none'}")
    print("\n".join(bench.lost))
    return 1 if bench.lost else 0


if __name__ == "__main__":
    sys.exit(main())
