"""The service with AT_ONCE quick requests at once in each lane, for `benchmarks/api.py --at-once`."""

import os

from config import asgi

for lane in (asgi.LANES.reads, asgi.LANES.writes):
    lane.let(int(os.environ["AT_ONCE"]))
application = asgi.application
