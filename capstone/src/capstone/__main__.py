"""``python -m capstone`` is ``capstone``."""

import sys

from ._command import main

sys.exit(main())
