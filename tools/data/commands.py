"""`upt-clip data check` and `upt-clip data list`."""

from upt_clip.config_files import dataset_names
from upt_clip.messages import did_you_mean
from upt_clip.tools.data import check

WORKS = ("check", "list")


def main(argv: list[str]) -> int | None:
    """The exit status of `upt-clip data WORDS...`."""
    work, *words = argv or [""]
    if work == "check":
        return check.main(words)
    if work in ("-h", "--help"):
        print("usage: upt-clip data check [DATASET ...] [options]\n       upt-clip data list")
        return 0
    if work != "list" or words:
        wrong = " ".join(words) if work == "list" else work
        raise ValueError(f'upt-clip data has no "{wrong}"{did_you_mean(work, WORKS)}: {", ".join(WORKS)}; -h lists all')
    print("\n".join(dataset_names()))
    return 0
