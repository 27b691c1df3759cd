"""`python -m slixmpp_e2e` is the program `slixmpp-e2e`."""

import sys

from slixmpp_e2e.cli import main

sys.exit(main())
