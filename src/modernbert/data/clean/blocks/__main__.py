"""`python -m modernbert.data.clean.blocks WORK OPTIONS`: the process that datatrove runs in."""

import json
import sys
from pathlib import Path

from modernbert.base.records import from_plain
from modernbert.data.clean.blocks.child import main
from modernbert.data.clean.options import RunOptions

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), from_plain(RunOptions, json.loads(sys.argv[2]))))
