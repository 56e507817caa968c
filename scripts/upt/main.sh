#!/usr/bin/env bash
# Few-shot runs of one data set and their table:
#   bash scripts/upt/main.sh DATASET SHOTS [--trainer UPT|CoOp|VPT|ZeroshotCLIP] [--seeds "1 2 3"] [--cfg NAME]
#                            [--root DIR] [--output DIR] [--no-cache] [--verbose] [KEY VALUE ...]
# e.g. bash scripts/upt/main.sh emoji 16          (embedded pictures, no download)
#      bash scripts/upt/main.sh oxford_pets 16    (the paper's set-up; data as in docs/DATASETS.md)
# DRY_RUN=1 prints the commands. -h explains all options.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "$PYTHON" -m upt_clip train "$@"
