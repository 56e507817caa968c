"""What torchrun starts in the tests: train.py with each of the argument lists in a JSON file, in one go.

A list that begins with "killed" is stopped after its second epoch, in all processes.
"""

import json
import os
import sys

import torch

from upt_clip import train
from upt_clip.trainers.core import PromptTrainer


def main() -> None:
    torch.set_num_threads(1)
    train.collect_env_info = str  # takes seconds
    after_epoch = PromptTrainer.after_epoch
    with open(sys.argv[1]) as file:
        runs = json.load(file)
    for arguments in runs:
        killed = arguments[0] == "killed"

        def stop(self, killed=killed):
            after_epoch(self)
            if killed and self.epoch == 1:
                raise KeyboardInterrupt

        PromptTrainer.after_epoch = stop
        try:
            train.main(train.parse_args(arguments[killed:]))
        except KeyboardInterrupt:
            print(f"killed, process {os.environ['RANK']}", file=sys.stderr)


if __name__ == "__main__":
    main()
