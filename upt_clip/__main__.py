"""The command `upt-clip`, which is also `python -m upt_clip`: a program's name, then the program's own words."""

import io
import sys
from importlib import import_module

from . import __version__, cli
from .messages import did_you_mean

SWEEP = "sweep.commands"
COMMANDS = {  # module below upt_clip.tools (or upt_clip, with a dot in front), and what it is for
    "demo": (SWEEP, "train three methods on small embedded pictures (no download) and print their table"),
    "train": (SWEEP, "train on a data set or on a folder of photos and print the table"),
    "predict": ("use.predict", "classify pictures with a trained run"),
    "test": ("use.test", "test a trained run again, also on other data"),
    "table": ("tables.table", "print the table of a protocol from an output folder"),
    "plot": ("tables.plot", "draw the curves and bars of an output folder"),
    "report": ("report.page", "write one HTML page about an output folder"),
    "rerun": ("use.rerun", "run a finished run again and compare"),
    "export": ("use.export", "write a trained run as files for other programs"),
    "words": ("use.nearest_words", "list the words that are nearest to the learned prompts"),
    "attention": ("use.attention", "draw what the prompts attend to"),
    "data": ("data.commands", "check or list the data sets"),
    "reproduce": (SWEEP, "do all runs of a protocol and print their table"),
    "base2new": (SWEEP, "train on half of the classes, test on both halves"),
    "domain_generalization": (SWEEP, "train on a source, test on its shifted versions"),
    "cross_dataset": (SWEEP, "train on a source, test on other data sets"),
    "variance": ("tables.variance", "compare gains with the variance of features: the paper's Figure 1"),
    "bench": ("bench.benchmark", "measure how fast a method is"),
    "run": (".train", "do one run, with the options of CoOp's train.py"),
}
GOES_ON = {SWEEP: "Stopped; the same command goes on from here."}  # what is said after Ctrl-C, where more can be said


def usage() -> str:
    """The text of `upt-clip -h`."""
    width = max(map(len, COMMANDS)) + 2
    lines = "\n".join(f"  {name:<{width}}{about}" for name, (_, about) in COMMANDS.items())
    return f"""usage: upt-clip COMMAND ...

{lines}

upt-clip COMMAND -h explains one; upt-clip --version; in bash, eval "$(upt-clip completion)" completes the names"""


def main(argv: list[str] | None = None) -> int:
    """The exit status of a command line."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # file names need not be valid UTF-8
    words = sys.argv[1:] if argv is None else argv
    name = words[0] if words else "-h"
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "completion":
        print(f"complete -o default -W '{' '.join(COMMANDS)}' upt-clip")
        return 0
    if name == "--version":
        print(f"upt-clip {__version__}")
        return 0
    stopped = GOES_ON.get(COMMANDS.get(name, ("",))[0], "Stopped")
    return cli.status(lambda: _command(name, words), stopped, debug=name == "run" and "--debug" in words)


def _command(name: str, words: list[str]) -> int | None:
    if name not in COMMANDS:
        raise ValueError(f'unknown command "{name}"{did_you_mean(name, COMMANDS)}; upt-clip -h lists all')
    if name == "run":  # it says more about its end
        return import_module("upt_clip.train").cli(words[1:])
    module = import_module(f"upt_clip.tools.{COMMANDS[name][0]}")
    return module.main(words if COMMANDS[name][0] == SWEEP else words[1:])


if __name__ == "__main__":
    sys.exit(main())
