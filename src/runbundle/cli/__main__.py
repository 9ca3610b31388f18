"""``python -m runbundle.cli``."""

from runbundle.cli import main

raise SystemExit(main())
