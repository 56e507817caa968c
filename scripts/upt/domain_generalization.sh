#!/usr/bin/env bash
# Domain generalisation: trains on ImageNet, tests on ImageNetV2, -Sketch, -A and -R; or emoji and two other artists:
#   bash scripts/upt/domain_generalization.sh [--source imagenet|emoji] [--trainer "CoOp VPT UPT"]
#                                             [options as for main.sh] [KEY VALUE ...]
# e.g. bash scripts/upt/domain_generalization.sh --source emoji
# DRY_RUN=1 prints the commands. -h explains all options.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "$PYTHON" -m upt_clip domain_generalization "$@"
