# SPDX-License-Identifier: BSD-3-Clause
"""What takes two NUMA nodes, every mode of transparent huge pages, and reserved pages: shown in a virtual machine.

Debian's cloud kernel under software emulation, with one static program as its only process. A boot with all checks
takes 15 to 25 s on two cores.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUEST = Path(__file__).with_name("guest.cpp")
CXX = os.environ.get("CXX", "g++")
#: where a fetched kernel is kept: 8 MB, for the next run
CACHE = ROOT.parents[1] / "build" / "vm"
QEMU = "qemu-system-x86_64"
#: what the kernel's image lies in; the name carries a version that changes with every update
META_PACKAGE = "linux-image-cloud-amd64"
#: MB. Node 1 has room for an aligned page of 1 GB that nothing at boot takes.
NODES = (768, 3328)


class MissingError(Exception):
    """What the virtual machine needs cannot be had here: the reason, and the command that brings it."""


def _output(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise MissingError(f"{' '.join(command)}: {last}")
    return done.stdout


def require_qemu() -> None:
    if platform.machine() != "x86_64":
        raise MissingError(f"the virtual machine's program is built for x86_64, this is {platform.machine()}")
    if shutil.which(QEMU) is None:
        raise MissingError(f"{QEMU} is not installed: apt-get install --no-install-recommends qemu-system-x86")


def kernel(cache: Path) -> Path:
    """The kernel's image: one that is installed, or unpacked in `cache`, or fetched into it as a package."""
    for folder in (cache / "boot", Path("/boot")):
        if found := sorted(folder.glob("vmlinuz-*-cloud-amd64")):
            return found[-1]
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise MissingError(f"no cloud kernel in /boot, and no apt-get to fetch Debian's {META_PACKAGE}")
    depends = re.search(r"Depends: (linux-image-\S+-cloud-amd64)$", _output("apt-cache", "depends", META_PACKAGE), re.M)
    if depends is None:
        raise MissingError(f"{META_PACKAGE} is not in the package lists: apt-get update (Debian on amd64)")
    cache.mkdir(parents=True, exist_ok=True)
    _output("apt-get", "download", depends[1], cwd=cache)
    (package,) = cache.glob(f"{depends[1]}_*.deb")
    # Only the image: its modules are not needed.
    archive = subprocess.run(("dpkg", "--fsys-tarfile", package), capture_output=True, check=True).stdout
    subprocess.run(("tar", "-x", "-C", cache, "--wildcards", "./boot/vmlinuz-*"), input=archive, check=True)
    package.unlink()
    return kernel(cache)


def initramfs(program: Path) -> bytes:
    """A cpio archive (format newc) with the program as /init, and the console that it prints to."""
    archive = bytearray()

    def add(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        inode = len(archive)  # any number that is no other's
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        archive.extend(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        archive.extend(bytes(-len(archive) % 4) + content)
        archive.extend(bytes(-len(archive) % 4))

    add("dev", stat.S_IFDIR | 0o755)
    add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    add("init", stat.S_IFREG | 0o755, program.read_bytes())
    add("TRAILER!!!", 0)
    return bytes(archive)


def boot(kernel: Path, initrd: Path, arguments: str, timeout: float) -> str:
    """What the machine wrote to its console until it powered itself off. Four processors, two a node."""
    nodes = []
    for i, size in enumerate(NODES):
        nodes += ["-object", f"memory-backend-ram,id=m{i},size={size}M"]
        nodes += ["-numa", f"node,nodeid={i},cpus={2 * i}-{2 * i + 1},memdev=m{i}"]
    command = [
        QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "4", "-m", f"{sum(NODES)}M", *nodes,
        "-kernel", str(kernel), "-initrd", str(initrd), "-append", f"console=ttyS0 quiet panic=-1 {arguments}",
        "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


CHECKS = {
    "two nodes with their processors",
    "every page is on its node, preferred, base",
    "every page is on its node, strict, base",
    "every page is on its node, preferred, thp",
    "every page is on its node, strict, thp",
    "first touch is made on the node",
    "bookkeeping is near its node",
    "threads get what is near",
    "remote frees go home, preferred",
    "remote frees go home, strict",
    "a node that is used up",
    "a node that is too small",
    "huge pages in this mode",
    "no huge pages at all",
    "split pages are merged again",
    "hugetlb of 2 MB",
    "hugetlb made on demand",
    "hugetlb of 1 GB",
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The kernel and the initial file system to boot it with."""
    folder = tmp_path_factory.mktemp("vm")
    try:
        require_qemu()
        image = kernel(CACHE)
    except MissingError as missing:
        pytest.skip(str(missing))
    program, initrd = folder / "guest", folder / "initrd"
    flags = ["-std=c++20", "-O2", "-static", "-s", "-pthread", "-Wall", "-Wextra", "-Werror"]
    built = subprocess.run([CXX, *flags, f"-I{ROOT / 'include'}", GUEST, "-o", program], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    initrd.write_bytes(initramfs(program))
    return image, initrd


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "shown", "reserve"),
    [
        ("always", "[always] madvise never", ""),
        ("madvise", "always [madvise] never", "hugepagesz=1G hugepages=1"),
        ("never", "always madvise [never]", ""),
    ],
)
def test_memory_lies_where_it_is_meant_to(machine: tuple[Path, Path], mode: str, shown: str, reserve: str) -> None:
    console = boot(*machine, f"transparent_hugepage={mode} {reserve}", timeout=200)
    outcomes = dict(re.findall(r"check (.+?): (ok|FAILED: .*?)\r?$", console, re.M))
    assert outcomes == dict.fromkeys(CHECKS if reserve else CHECKS - {"hugetlb of 1 GB"}, "ok"), console
    assert f"mode: {shown}" in console
    assert re.search(r"^done\r?$", console, re.M)


def test_a_machine_that_lacks_something_says_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if platform.machine() == "x86_64":
        with pytest.raises(MissingError, match="apt-get install --no-install-recommends qemu-system-x86"):
            require_qemu()
    (tmp_path / "boot").mkdir()
    image = tmp_path / "boot" / "vmlinuz-6.1.0-1-cloud-amd64"
    image.touch()
    assert kernel(tmp_path) == image


def test_the_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    cpio = shutil.which("cpio")
    if cpio is None:
        pytest.skip("cpio is not installed: apt-get install cpio")
    (tmp_path / "program").write_bytes(b"x" * 4099)
    listed = subprocess.run([cpio, "-itv"], input=initramfs(tmp_path / "program"), capture_output=True, check=True)
    assert [line.split()[-1] for line in listed.stdout.decode().splitlines()] == ["dev", "dev/console", "init"]
    assert b"4099" in listed.stdout
