"""Disks in Ceph: how long a clone takes, of a small image and of one of 100 GiB."""
import json
import os
import subprocess
import uuid
from pathlib import Path

BUILD = Path(os.environ["BUILD_ROOT"])
GIB = 1 << 30
CLONES = 20


def rbd_clone(figures, scratch):
    try:
        from harness import ceph
    except ImportError as error:
        print(f"  left out: {error}; install ceph-mon, ceph-mgr, ceph-osd, ceph-common, python3-rados and python3-rbd, and use Debian's python3")
        return
    cluster = ceph.Cluster(Path(scratch) / "ceph")

    def tool(*words):
        argv = [BUILD / "tests/bench/bench-rbd", BUILD / "drivers/disk/rbd", cluster.conf, ceph.USER, *words]
        answer = json.loads(subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=True).stdout)
        if "error" in answer:
            raise SystemExit(f"rbd {words[0]}: {answer['error']['text']}")
        return answer

    try:
        figures.add("Ceph cluster of one node up", cluster.start(), "s", "15-22 s")
        for gib in (1, 100):
            base = Path(scratch) / "base.raw"
            with open(base, "wb") as file:
                file.write(os.urandom(32 << 20))
                file.truncate(gib * GIB)
            stored = tool("put-image", uuid.uuid4(), base)
            figures.add(f"store an image of {gib} GiB, 32 MiB of it data", stored["seconds"], "s")
            disks = [f"{ceph.VMS}/{uuid.uuid4()}_disk" for _ in range(CLONES)]
            samples = [1000 * tool("clone", stored["result"], disk, 2 * gib * GIB)["seconds"] for disk in disks]
            figures.add(f"clone and resize a disk of {gib} GiB", sorted(samples)[CLONES // 2], "ms", "< 1 s", samples=samples)
            samples = [1000 * tool("remove", disk)["seconds"] for disk in disks]
            figures.add(f"remove a cloned disk of {gib} GiB", sorted(samples)[CLONES // 2], "ms", samples=samples)
    finally:
        cluster.stop()
