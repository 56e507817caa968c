#!/usr/bin/env bash
# Base-to-new generalisation: trains on the first half of a data set's classes, tests on both halves, three seeds:
#   bash scripts/upt/base2new.sh DATASET [--trainer "CoOp CoCoOp VPT UPT"] [options as for main.sh] [KEY VALUE ...]
# e.g. bash scripts/upt/base2new.sh emoji
#      bash scripts/upt/base2new.sh dtd --trainer UPT --root DATA
# DRY_RUN=1 prints the commands. -h explains all options.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "$PYTHON" -m upt_clip base2new "$@"
