"""`python -m fastars` is the command `fastars`."""

import sys

from fastars.cli import main

sys.exit(main())
