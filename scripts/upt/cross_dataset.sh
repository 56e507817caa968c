#!/usr/bin/env bash
# Cross-dataset transfer: trains on ImageNet, tests on the ten other data sets; or emoji and its fine-grained classes:
#   bash scripts/upt/cross_dataset.sh [--source imagenet|emoji] [--trainer "CoOp VPT UPT"]
#                                     [options as for main.sh] [KEY VALUE ...]
# e.g. bash scripts/upt/cross_dataset.sh --source emoji
# DRY_RUN=1 prints the commands. -h explains all options.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "$PYTHON" -m upt_clip cross_dataset "$@"
