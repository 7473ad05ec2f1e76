"""The firewall helper as on a kernel before Linux 6.3: `older_kernel.py PYTHON -I -m appliance.firewall.helper …`.

There a table belongs to nobody, a missing element cannot be deleted, and an element's time cannot be changed.
"""

import sys

from appliance.firewall import helper, kernel
from appliance.firewall.features import Features

kernel.probed = lambda: Features(persist=False, destroy=False, updates=False)  # type: ignore[attr-defined]
sys.argv = sys.argv[sys.argv.index("appliance.firewall.helper") :]
helper.main()
