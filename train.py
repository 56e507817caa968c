"""CoOp's command line: `python train.py -h`. It is the same as `upt-clip run`."""

import sys

from upt_clip.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
