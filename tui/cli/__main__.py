"""`python -m tui.cli` is `ratematch`."""

import sys

from tui.cli.main import main

sys.exit(main())
