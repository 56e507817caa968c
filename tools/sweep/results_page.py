"""Fills the tables of a page, each made by the command that stands above it.

    python -m upt_clip.tools.sweep.results_page docs/RESULTS.md README.md

A block of a Markdown page looks so; what is between the two comments is replaced:

    <!-- made by: bash scripts/upt/reproduce.sh base2new --datasets emoji -->
    <!-- end -->

A command of scripts/upt is run first, as far as its runs are not done (--no-run: only what is there counts), and gives
its table. `upt-clip NAME ...` gives what it prints.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from upt_clip import cli
from upt_clip.tools.sweep.commands import parse_args, planned, print_failures, run_all, summary

BLOCK = re.compile(r"(<!-- made by: (?P<command>[^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
SCRIPT = re.compile(r"bash scripts/upt/(\w+)\.sh")
COMMAND = re.compile(r"upt-clip (?=\w)")


def fill(page: str, make: Callable[[str], str]) -> str:
    """The page with each block's content replaced by `make(command)`."""
    return BLOCK.sub(lambda m: f"{m[1]}```bash\n{m['command']}\n```\n\n{make(m['command'])}\n\n{m[3]}", page)


def made_by(command: str, options: list[str], run: bool = True) -> str:
    """What a command of this project says, as Markdown.

    Args:
        options: added to a script's command line, e.g. ["--workers", "2"].
        run: run what the script's plan lacks.

    Raises:
        ValueError: no command of this project, or some of its runs failed or are missing.
    """
    words = shlex.split(command)
    if match := SCRIPT.match(command):
        args = parse_args([match[1].replace("main", "train"), *words[2:], *options])
        runs = planned(args)
        if run and (failures := run_all(args, runs)):
            print_failures(failures)
        if missing := [r.label for r in runs if not (r.directory / "result.json").is_file()]:
            raise ValueError(f"{len(missing)} of {len(runs)} runs of `{command}` are not done ({missing[0]}, ...)")
        return summary(args, runs, "md")
    if COMMAND.match(command):
        return f"```text\n{_printed(command, words[1:]).rstrip()}\n```"
    raise ValueError(f'a block is made by "{command}": give a script of scripts/upt or upt-clip NAME')


def _printed(command: str, words: list[str]) -> str:
    ended = subprocess.run([sys.executable, "-m", "upt_clip", *words], capture_output=True, text=True)
    if ended.returncode:
        raise ValueError(f"`{command}` ended with exit status {ended.returncode}: {ended.stderr.strip()[-300:]}")
    return ended.stdout


def main() -> None:
    parser = cli.Parser("", __doc__, prog="python -m upt_clip.tools.sweep.results_page")
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE", help="Markdown files, which are rewritten")
    parser.add_argument("--no-run", action="store_true", help="fill in what is there and run nothing")
    parser.add_argument("--workers", default="", help="runs at a time on a CPU (default: what suits it)")
    parser.add_argument("--gpus", default="", help="GPUs, e.g. 0,1,2,3: a run at a time on each")
    args = parser.parse_args()
    chosen = {"--workers": args.workers, "--gpus": args.gpus}
    options = [word for pair in chosen.items() if pair[1] for word in pair]
    for page in args.pages:
        text = fill(page.read_text(), lambda command: made_by(command, options, run=not args.no_run))
        page.write_text(text)
        print(f"{page}: {len(BLOCK.findall(text))} blocks")


if __name__ == "__main__":
    cli.run(main, stopped="Stopped; the same command goes on from here.")
