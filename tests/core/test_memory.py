"""Memory that stays with the process: asked in a process of its own, as the setting is for its whole life."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from eyebright.core.memory import keep_memory, release_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(PIXELS, np.float32).fill(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

PIXELS = 2**24  # 64 MiB, 16,384 pages of 4 KiB
faults()
given_back = faults()
kept = keep_memory()
faults()
used_again = faults()
resident = lambda: int(open("/proc/self/statm").read().split()[1])
before = resident()
release_memory()
print(kept, given_back, used_again, before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is glibc's")
def test_a_large_block_is_fetched_page_by_page_each_time_unless_memory_is_kept():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, given_back, used_again, released = done.stdout.split()
    if kept == "False":
        pytest.skip("this C library is not glibc")
    assert int(given_back) > 25  # with pages of 2 MiB it is 32
    assert int(used_again) < 25
    assert int(released) > 10_000  # pages: the block went back in the end
