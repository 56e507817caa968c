"""CoOp's command line: `python train.py -h`. The code is upt_clip/train.py; `upt-clip run` is the same."""

import sys

from upt_clip.train import cli

if __name__ == "__main__":
    sys.exit(cli())
