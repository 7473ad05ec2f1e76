"""What the figures were measured on, and how to read the CPU time and memory of programs."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str]:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    nft = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "processor": f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}",
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nftables": nft.split("(")[0].strip(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these programs with all their threads and ended children. In 10 ms steps."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return total / TICKS


def resident_megabytes(pids: Iterable[int]) -> float:
    """Memory of these programs; what they share is counted for each."""
    kilobytes = 0
    for pid in pids:
        resident = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
        kilobytes += int(resident[1]) if resident else 0
    return kilobytes / 1024
