"""Runs a program and appends its name, wall time in ms and peak resident memory in MB to the file $PEAK."""

import os
import sys
import time

start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = (time.perf_counter() - start) * 1000
with open(os.environ["PEAK"], "a", encoding="utf-8") as file:
    file.write(f"{os.path.basename(sys.argv[1])} {wall:.1f} {usage.ru_maxrss / 1024:.1f}\n")
sys.exit(os.waitstatus_to_exitcode(status))
