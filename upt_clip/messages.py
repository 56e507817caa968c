"""What messages to users share: the name that was meant, one line that fits a screen, "1 shot" and "2 shots"."""

import difflib
import re
from collections.abc import Iterable

LONGEST = 1000  # characters of an error; a class name or an entry of a file can be of any length


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " (did you mean UPT?)" for "upt": the known name most like this one; empty if none are known."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""


def one_line(error: BaseException) -> str:
    """The message in one line of at most about `LONGEST` characters, or the error's name if it has none."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if "Original Traceback" in text:  # a worker process wraps its error in its traceback, whose last line is the error
        text = re.sub(r"^[\w.]+: ", "", text.strip().splitlines()[-1])
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def shots_text(shots: int) -> str:
    """ "1 shot", "2 shots" """
    return f"{shots} shot{'s' * (shots > 1)}"
