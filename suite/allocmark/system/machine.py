# SPDX-License-Identifier: BSD-3-Clause
"""Facts about the machine, from /proc and /sys. What cannot be read (containers hide a lot) is None.

Every run imports this file, so it imports nothing that takes time to load.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import allocmark

CPU = "/sys/devices/system/cpu"
NODE = "/sys/devices/system/node"
THP = "/sys/kernel/mm/transparent_hugepage"
HUGEPAGES = "/sys/kernel/mm/hugepages"
CGROUP = "/sys/fs/cgroup"

_CHANGES_MALLOC = re.compile(r"LD_PRELOAD|LD_AUDIT|GLIBC_TUNABLES|SCUDO_OPTIONS|\w*MALLOC\w*")
_PRELOAD_FILE = "/etc/ld.so.preload"


def read(path: str) -> str | None:
    """The stripped text of a file of the kernel, or None."""
    try:
        return Path(path).read_text(errors="replace").strip()  # the name of a process or folder may hold any bytes
    except OSError:
        return None


def read_int(path: str) -> int | None:
    """The number in a file of the kernel, or None."""
    return _int(read(path))


def chosen(text: str | None) -> str | None:
    """The choice in brackets: "always [madvise] never" is "madvise"."""
    if text is None or "[" not in text:
        return text
    return text.partition("[")[2].partition("]")[0]


def parse_cpu_list(text: str) -> list[int]:
    """The kernel's lists: "0-2,8" is [0, 1, 2, 8]."""
    cpus: list[int] = []
    for part in text.split(","):
        if part.strip():
            first, _, last = part.partition("-")
            cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def _int(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _meminfo(key: str, node: int | None = None) -> int | None:
    """Bytes, of the whole machine or of one NUMA node."""
    path = "/proc/meminfo" if node is None else f"{NODE}/node{node}/meminfo"
    for line in (read(path) or "").splitlines():
        name, _, value = line.partition(":")  # on a node: "Node 0 MemFree"
        if name.split()[-1] == key:
            return int(value.split()[0]) * 1024
    return None


# CPUs


def numa_nodes() -> list[int]:
    """The NUMA nodes that are there; empty where the kernel knows none."""
    return parse_cpu_list(read(f"{NODE}/online") or "")


def cpu_node(cpu: int) -> int:
    """The NUMA node of a CPU; 0 where the kernel knows no nodes."""
    try:
        names = os.listdir(f"{CPU}/cpu{cpu}")
    except OSError:
        return 0
    return next((int(n[4:]) for n in names if n.startswith("node") and n[4:].isdigit()), 0)


def _siblings(cpu: int) -> list[int]:
    """The CPUs (hardware threads) of this CPU's core, itself included."""
    return parse_cpu_list(read(f"{CPU}/cpu{cpu}/topology/thread_siblings_list") or "") or [cpu]


def order_cpus(cpus: Iterable[int], core: dict[int, int], node: dict[int, int]) -> list[int]:
    """The order in which actors should be pinned.

    One CPU of every core comes first, then the second hardware threads. Within these the node with the most cores comes
    first. So no two actors share a core while there are enough, and as many as possible share a node.
    """
    seen: Counter[int] = Counter()
    thread = {}
    for cpu in sorted(cpus):
        thread[cpu] = seen[core[cpu]]
        seen[core[cpu]] += 1
    cores = Counter(node[cpu] for cpu, nth in thread.items() if nth == 0)
    return sorted(thread, key=lambda cpu: (thread[cpu], -cores[node[cpu]], node[cpu], cpu))


def usable_cpus() -> list[int]:
    """The CPUs this process may use, in the order in which actors should be pinned; see `order_cpus`.

    The kernel keeps a process's affinity inside its cgroup's cpuset, so the affinity says both.
    """
    cpus = os.sched_getaffinity(0)
    core = {cpu: min(_siblings(cpu)) for cpu in cpus}
    return order_cpus(cpus, core, {cpu: cpu_node(cpu) for cpu in cpus})


def parse_steal(stat: str, cpus: Iterable[int]) -> int:
    """Ticks of steal of these CPUs together, from the text of /proc/stat."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    rows = (line.split() for line in stat.splitlines() if line.startswith("cpu"))
    return sum(int(row[8]) for row in rows if row[0] in wanted and len(row) > 8)


def steal_ticks(cpus: Iterable[int]) -> int:
    """Time the hypervisor has taken from these CPUs since boot, in ticks of ``os.sysconf("SC_CLK_TCK")``."""
    return parse_steal(read("/proc/stat") or "", cpus)


# Memory and control groups


def resident_bytes() -> int | None:
    """Of this process, without hugetlb pages; None where the kernel does not say."""
    fields = (read("/proc/self/statm") or "").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else None


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """This process's control group and those above it, version 2 and then version 1.

    In a container the path may be the host's while only the group itself is mounted, at the root.
    """
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root = Path(CGROUP, "unified") if Path(CGROUP, "unified").is_dir() else Path(CGROUP)
        elif controller in controllers.split(","):
            root = Path(CGROUP, controller)
        else:
            continue
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(root) and group.is_dir():
                yield group


def _cgroup_room(group: Path) -> int | None:
    """Bytes that this control group may still take; None when it sets no limit. File cache counts as free."""
    for limit, usage, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, used = read_int(f"{group}/{limit}"), read_int(f"{group}/{usage}")
        if most is not None and used is not None:
            stat = dict(line.split(maxsplit=1) for line in (read(f"{group}/memory.stat") or "").splitlines())
            return max(0, most - used + int(stat.get(cache, "0")))
    return None


def mem_available(node: int | None = None) -> int:
    """Bytes that can be taken without swapping: the kernel's estimate, or less where a cgroup limits it.

    The kernel has no estimate for one NUMA node. There it is what is free and what holds files, less a fiftieth of the
    node, which the kernel keeps for itself.
    """
    limits = [_meminfo("MemAvailable"), *(_cgroup_room(group) for group in _cgroup_folders("memory"))]
    if node is not None and (free := _meminfo("MemFree", node)) is not None:
        files = (_meminfo("Active(file)", node) or 0) + (_meminfo("Inactive(file)", node) or 0)
        limits.append(max(0, free + files - (_meminfo("MemTotal", node) or 0) // 50))
    return min([limit for limit in limits if limit is not None], default=0)


def cpu_quota() -> float | None:
    """How many CPUs' worth of time the control groups allow; None: no limit. Beyond it the kernel pauses threads."""
    quotas = []
    for group in _cgroup_folders("cpu"):
        quota, _, period = (read(f"{group}/cpu.max") or "").partition(" ")
        quota = quota or read(f"{group}/cpu.cfs_quota_us") or ""
        period = period or read(f"{group}/cpu.cfs_period_us") or ""
        if quota.isdigit() and period.isdigit():  # not "max", not -1
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


# The machine


def _cpuinfo() -> dict[str, str]:
    """The first CPU's fields."""
    first = (read("/proc/cpuinfo") or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def hypervisor() -> str | None:
    """Its name; "unnamed" when there is one and it does not say; None on bare metal."""
    if name := read("/sys/hypervisor/type"):
        return name
    if name := read("/proc/device-tree/hypervisor/compatible"):
        return name.rstrip("\0")
    if "hypervisor" not in _cpuinfo().get("flags", "").split():
        return None
    clocks = read("/sys/devices/system/clocksource/clocksource0/available_clocksource") or ""
    for clock, name in (("kvm-clock", "KVM"), ("hyperv_clocksource", "Hyper-V"), ("xen", "Xen")):
        if clock in clocks:
            return name
    return read("/sys/class/dmi/id/sys_vendor") or "unnamed"


def _caches() -> dict[str, str] | None:
    """Sizes of the first CPU's caches, as the kernel writes them: {"L1 data": "48K", …}."""
    sizes = {}
    for index in sorted(Path(f"{CPU}/cpu0/cache").glob("index*")):
        level, kind, size = (read(f"{index}/{name}") for name in ("level", "type", "size"))
        if level and kind and size:
            sizes[f"L{level} {kind.lower()}"] = size
    return sizes or None


def _machine() -> dict[str, Any]:
    """What stays the same from boot to boot."""
    info = _cpuinfo()
    present = parse_cpu_list(read(f"{CPU}/present") or "")
    nodes = numa_nodes()
    memory = _meminfo("MemTotal")
    return {
        "cpu": info.get("model name") or info.get("CPU part"),
        "architecture": os.uname().machine,
        "cpus": len(present) or os.cpu_count(),
        "cores": len({min(_siblings(cpu)) for cpu in present}) or None,
        "numa_nodes": len(nodes) or None,
        "memory_gib": None if memory is None else round(memory / (1 << 30)),
        "caches": _caches(),
        "hypervisor": hypervisor(),
    }


def huge_pages() -> dict[str, dict[str, int | None]]:
    """Counts of the pages of every size ("2048kB"); "overcommit" is how many may be surplus."""
    names = {"total": "nr", "free": "free", "reserved": "resv", "surplus": "surplus", "overcommit": "nr_overcommit"}
    folders = sorted(Path(HUGEPAGES).glob("hugepages-*"), key=lambda f: int(f.name[10:-2]))
    return {f.name[10:]: {what: read_int(f"{f}/{name}_hugepages") for what, name in names.items()} for f in folders}


def spare_huge_pages(size_kb: int = 2048) -> tuple[int, int] | None:
    """Huge pages that are free and promised to nobody, and those that the kernel would make on demand.

    None: this kernel has no pages of that size.
    """
    pages = huge_pages().get(f"{size_kb}kB")
    if pages is None:
        return None
    free, reserved, overcommit, surplus = (pages[key] or 0 for key in ("free", "reserved", "overcommit", "surplus"))
    return max(0, free - reserved), max(0, overcommit - surplus)


def malloc_variables() -> dict[str, str]:
    """What is set with which the loader or an allocator works otherwise, in every process that inherits it.

    A file that does what LD_PRELOAD does, for all processes of the machine, is among them.
    """
    found = {
        name: value.encode(errors="backslashreplace").decode()
        for name, value in sorted(os.environ.items())
        if value and _CHANGES_MALLOC.fullmatch(name)
    }
    preloaded = " ".join((read(_PRELOAD_FILE) or "").split())
    return found | ({_PRELOAD_FILE: preloaded} if preloaded else {})


def boost() -> bool | None:
    """Whether the CPU's clock may rise above its nominal rate."""
    if (off := read_int(f"{CPU}/intel_pstate/no_turbo")) is not None:
        return off == 0
    on = read_int(f"{CPU}/cpufreq/boost")
    return None if on is None else on == 1


def aslr() -> int | None:
    """Address space randomisation of this process: 0 off, 1 all but the heap, 2 everything."""
    personality = read("/proc/self/personality")
    if personality and int(personality, 16) & 0x0040000:  # ADDR_NO_RANDOMIZE: started by `setarch -R`
        return 0
    return read_int("/proc/sys/kernel/randomize_va_space")


def _mitigations() -> dict[str, str]:
    """The CPU's vulnerabilities, and in a few words what is done about each."""
    found = {f.name: read(str(f)) for f in sorted(Path(f"{CPU}/vulnerabilities").glob("*"))}
    return {name: text.partition(";")[0] for name, text in found.items() if text and text != "Not affected"}


def _os() -> str | None:
    for line in (read("/etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return None


def facts() -> dict[str, Any]:
    """Everything that may explain a figure, as JSON, for the header of a run file. None: not known.

    "machine" holds what stays the same from boot to boot and tells one machine from another.
    """
    cpus = usable_cpus()
    load = (read("/proc/loadavg") or "").split()
    return {
        "machine": _machine(),
        "kernel": os.uname().release,
        "os": _os(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None,
        "python": sys.version.split()[0],
        "allocmark": allocmark.__version__,
        "thp": {
            "enabled": chosen(read(f"{THP}/enabled")),
            "defrag": chosen(read(f"{THP}/defrag")),
            "shmem_enabled": chosen(read(f"{THP}/shmem_enabled")),
            "khugepaged_defrag": read_int(f"{THP}/khugepaged/defrag"),
            "size": read_int(f"{THP}/hpage_pmd_size"),
        },
        "hugepages": huge_pages(),
        "governor": read(f"{CPU}/cpu{cpus[0]}/cpufreq/scaling_governor"),
        "boost": boost(),
        "smt": read(f"{CPU}/smt/control"),
        "cpus": cpus,
        "cpu_quota": cpu_quota(),
        "isolated": read(f"{CPU}/isolated") or None,
        "nohz_full": read(f"{CPU}/nohz_full") or None,
        "clock_source": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "load": float(load[0]) if load else None,
        "mem_available_bytes": mem_available(),
        "steal": steal_ticks(cpus),
        "aslr": aslr(),
        "mitigations": _mitigations(),
    }
