"""A copy of standard output in a file."""

import os
import sys
import time

__all__ = ["Logger", "setup_logger"]


class Logger:
    """A text stream that writes to the console and to `fpath`, flushed line by line.

    It closes only the file that it opened itself, and answers every other question (`isatty`, `fileno`, `encoding`)
    as the console does. As a context manager, or by `close()`, it gives standard output back.
    """

    def __init__(self, fpath: str | None = None):
        # A logger on top of another would write the second run into the first run's log.
        self.console = sys.stdout.console if isinstance(sys.stdout, Logger) else sys.stdout
        self.file = None
        if fpath is not None:
            os.makedirs(os.path.dirname(os.path.abspath(fpath)), exist_ok=True)
            self.file = open(fpath, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by close()

    def __getattr__(self, name):
        if name == "console":  # not set yet: a failed constructor, or unpickling
            raise AttributeError(name)
        return getattr(self.console, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def write(self, text: str) -> int:
        self.console.write(text)
        if self.file is not None:
            self.file.write(text)
        return len(text)

    def flush(self):
        self.console.flush()
        if self.file is not None:
            self.file.flush()

    def close(self):
        """Close the log file and, if this object is standard output, put the console back."""
        if sys.stdout is self:
            sys.stdout = self.console
        if self.file is not None:
            self.file.close()
            self.file = None


def setup_logger(output: str | None = None) -> None:
    """Copy standard output from now on to a file: `output` if it ends in .txt or .log, else `<output>/log.txt`.

    An existing file is kept: the new one gets the time appended to its name. `sys.stdout.close()` ends the copying.
    """
    if output is None:
        return
    path = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
    if os.path.exists(path):
        path += time.strftime("-%Y-%m-%d-%H-%M-%S")
    previous = sys.stdout
    sys.stdout = Logger(path)
    if isinstance(previous, Logger):
        previous.close()
