# SPDX-License-Identifier: BSD-3-Clause
"""The DPDK driver: its promises, DPDK's own tests with it, and packets through testpmd."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import allocmark_turbomem
import pytest
import testpmd

import allocmark

ROOT = Path(__file__).resolve().parents[1]
DRIVER = Path(allocmark_turbomem.__file__).parent / "librte_mempool_turbomem.so"
NO_HUGE = ["--no-huge", "--no-shconf", "-m", "1024", "--iova-mode=va"]
EAL = ["--no-pci", "--no-telemetry", "--log-level=pmd.mempool.turbomem:debug"]

pytestmark = pytest.mark.skipif(
    not DRIVER.exists(), reason="built without DPDK: apt-get install libdpdk-dev pkg-config && make setup"
)


def dpdk_program(name: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed: apt-get install dpdk-dev")
    return name


def lcores(n: int) -> str:
    """So many lcores, on the CPUs that there are in turn."""
    cpus = sorted(os.sched_getaffinity(0))
    return ",".join(f"{lcore}@{cpus[lcore % len(cpus)]}" for lcore in range(n))


def run(*command: str | Path, say: str = "") -> str:
    done = subprocess.run(
        command, input=say, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def compiled(source: Path, folder: Path) -> Path:
    flags = [shlex.split(allocmark.pkg_config(what, "libdpdk") or "") for what in ("--cflags", "--libs")]
    program = folder / source.stem
    run(
        *(os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *flags[0]),
        *(f"-I{ROOT / 'driver'}", source, DRIVER, f"-Wl,-rpath,{DRIVER.parent}", "-pthread"),
        *("-Wl,--as-needed", *flags[1], "-o", program),
    )
    return program


@pytest.fixture(scope="module")
def plugin() -> Iterator[Path]:
    """The driver where DPDK loads it from, wherever this tree is: no folder above may be writable by everyone."""
    with tempfile.TemporaryDirectory(prefix=".turbomem-", dir=Path.home()) as folder:
        yield Path(shutil.copy(DRIVER, folder))


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(ROOT / "tests" / "driver" / "handler.c", tmp_path_factory.mktemp("handler"))


@pytest.mark.parametrize("case", ["threads", "nothing_is_stranded", "count", "too_few", "no_memory", "forked"])
def test_promises(handler: Path, case: str) -> None:
    run(handler, case, *EAL, *NO_HUGE, "--lcores", lcores(2))


def test_a_refusal_says_why(handler: Path) -> None:
    said = run(handler, "no_memory", *EAL, *NO_HUGE, "--lcores", lcores(2))
    assert re.search(r"turbomem: mempool 'none': .*bytes of metadata: Cannot allocate memory", said)


def test_telemetry_tells_what_the_handler_did(handler: Path, tmp_path: Path) -> None:
    prefix = f"turbomem{os.getpid()}"
    folder = Path("/var/run/dpdk") / prefix
    command = [handler, "asked", "--no-pci", *NO_HUGE, f"--file-prefix={prefix}", "--lcores", lcores(1)]
    try:
        with (
            (tmp_path / "log").open("w") as log,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as asked,
        ):
            assert asked.stdout is not None
            assert "asked\n" in iter(asked.stdout.readline, "")
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.connect(str(folder / "dpdk_telemetry.v2"))
                peer.recv(16384)
                peer.send(b"/turbomem/info,packets")
                found = json.loads(peer.recv(16384))["/turbomem/info"]
                peer.send(b"/turbomem/info,none")
                assert json.loads(peer.recv(16384))["/turbomem/info"] == {"size": 100, "available": 0}
                peer.send(b"/turbomem/info,others")
                assert json.loads(peer.recv(16384))["/turbomem/info"] is None
            asked.communicate("", timeout=60)
        assert asked.returncode == 0
        assert "another process" not in (tmp_path / "log").read_text()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert found["size"] == 1000
    assert found["available"] == 700
    assert found["least_available"] == 0
    assert found["failed_gets"] == 1
    assert found["get_misses"] >= 1


def transparent_huge_pages() -> None:
    mode = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not mode.exists() or "[never]" in mode.read_text():
        pytest.skip(f"transparent huge pages are off: echo madvise > {mode}")


def test_transparent_huge_pages(handler: Path) -> None:
    transparent_huge_pages()
    said = run(handler, "thp", *EAL, *NO_HUGE, "--lcores", lcores(1), "--mbuf-pool-ops-name=turbomem")
    assert "mempool 'packets': it has memory already" in said
    assert "all on transparent huge pages" in said


@contextmanager
def huge_pages(wanted: int) -> Iterator[None]:
    """So many pages of 2 MB can be mapped: surplus ones, which go when they are unmapped."""
    try:
        with testpmd.borrowed_huge_pages(wanted):
            yield
    except testpmd.TestpmdError as error:
        pytest.skip(str(error))


@pytest.mark.alone
def test_physical_addresses_are_refused(handler: Path) -> None:
    with huge_pages(64):  # without, DPDK has virtual ones only
        eal = [*EAL, "--in-memory", "--iova-mode=pa", "--lcores", lcores(1)]
        said = run(handler, "physical_addresses", *eal)
    assert "start with --iova-mode=va" in said


@pytest.mark.alone
def test_a_secondary_process_is_refused(handler: Path, tmp_path: Path) -> None:
    """In a mount name space of its own, for processes share memory through files on huge pages."""
    inside = f'mount -t hugetlbfs none {tmp_path} && exec "$@"'
    unshare = ["unshare", "--mount", "sh", "-c", inside, "sh"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not mount hugetlbfs")
    prefix = f"turbomem{os.getpid()}"
    eal = [*EAL, "--proc-type=auto", f"--file-prefix={prefix}", f"--huge-dir={tmp_path}", "--iova-mode=va"]
    try:
        with huge_pages(64):
            said = run(*unshare, handler, "primary", *eal, "--lcores", lcores(1))
    finally:
        shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True)
    assert "mempool 'shared' belongs to another process" in said
    assert "--mbuf-pool-ops-name=ring_mp_mc" in said


@pytest.mark.parametrize(
    ("test", "pools"), [("mempool_autotest", "default_pool"), ("mbuf_autotest", "test_pktmbuf_pool")]
)
def test_dpdk_s_own_test(test: str, pools: str, plugin: Path) -> None:
    choice = ["-d", str(plugin), "--mbuf-pool-ops-name=turbomem"]
    said = run(*(dpdk_program("dpdk-test"), *EAL, *NO_HUGE, "--lcores", lcores(2), *choice), say=f"{test}\nquit\n")
    assert "Test OK" in said
    assert "Test Failed" not in said
    assert f"turbomem: mempool '{pools}'" in said


@pytest.mark.parametrize(
    ("mode", "devices"),
    [
        ("io", ["net_null0"]),
        ("mac", ["net_null0,copy=1", "net_null1,copy=1"]),
        ("mac", ["net_null0", "net_ring0"]),  # the one core gets, the other puts
    ],
    ids=["null", "null-2-cores", "null-to-ring-2-cores"],
)
def test_testpmd_forwards(mode: str, devices: list[str], plugin: Path, tmp_path: Path) -> None:
    cores, log = len(devices), tmp_path / "log"
    command = [
        *("stdbuf", "-oL", dpdk_program("dpdk-testpmd"), *EAL, *NO_HUGE, "--lcores", lcores(1 + cores), "-d", plugin),
        *("--mbuf-pool-ops-name=turbomem", *(f"--vdev={device}" for device in devices)),
        *("--", "-i", f"--nb-cores={cores}", f"--forward-mode={mode}", "--total-num-mbufs=8191"),
    ]
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True) as process,
    ):
        assert process.stdin is not None
        print("start", file=process.stdin, flush=True)
        patience = time.monotonic() + 60
        while "nb forwarding cores" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < patience, log.read_text()
            time.sleep(0.05)
        time.sleep(1)
        process.communicate("stop\nquit\n", timeout=60)
    said = log.read_text()
    assert process.returncode == 0, said
    assert "turbomem: mempool 'mb_pool_0': 8191 objects" in said
    sent = re.findall(r"Forward statistics for port \d +-+\s+RX.*\s+TX-packets: (\d+)", said)
    assert len(sent) == cores, said
    assert all(int(packets) > 100 for packets in sent)


def test_the_example(tmp_path: Path) -> None:
    transparent_huge_pages()
    program = compiled(ROOT / "driver" / "example" / "thp_pool.c", tmp_path)
    said = run(program, *EAL, "--no-huge", "--iova-mode=va", "--mbuf-pool-ops-name=turbomem", "--lcores", lcores(1))
    assert re.search(r"65535 buffers by the handler turbomem, 1\d\d MB on huge pages", said)
