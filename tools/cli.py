"""How every command-line tool ends: what a user can put right is one line and exit status 2, never a traceback."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

USER_ERROR = 2  # the exit status that says: you must change something


def run(main: Callable[[], int | None], stopped: str = "Stopped") -> NoReturn:
    """Ends the process with the exit status of `main`; `stopped` is said after Ctrl-C."""
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader has left, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        sys.exit(130)
