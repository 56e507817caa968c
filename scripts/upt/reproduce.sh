#!/usr/bin/env bash
# A whole table with one command; what is done is skipped, so it can be killed and started again:
#   bash scripts/upt/reproduce.sh few_shot|base2new|domain_generalization|cross_dataset|ablation
#        [--datasets emoji dtd ...] [--trainers CoOp UPT ...] [--shots 1 16 ...] [--seeds 1 2 3]
#        [--workers N | --gpus 0,1,2,3 | --launcher slurm --slurm partition=gpu ...]
#        [--cfg NAME] [--root DIR] [--output DIR] [--no-cache] [--verbose] [KEY VALUE ...]
# e.g. bash scripts/upt/reproduce.sh few_shot --datasets emoji --workers 2
#      bash scripts/upt/reproduce.sh base2new --root DATA --gpus 0,1,2,3
# DRY_RUN=1 prints the commands. -h explains all options.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "$PYTHON" -m upt_clip reproduce "$@"
