"""One Ceph cluster and one agent whose disks and images lie in it."""
import json
import os
import subprocess
import tempfile
import uuid as uuids
from pathlib import Path

from harness import ceph, tap
from harness.agent import BUILD, Agent, Failed
from harness.check import say

HELPERS = BUILD / "drivers/disk/rbd"
SECRET = str(uuids.uuid4())
GIB = 1 << 30


class Rbd:
    """The cases work on one server, ceph1, one after the other."""

    def __init__(self, scratch, cluster, **options):
        self.scratch = Path(scratch)
        self.cluster = cluster
        self.options = dict(libvirt__images_type="rbd", libvirt__images_rbd_pool=ceph.VMS, libvirt__images_rbd_ceph_conf=cluster.conf,
                            libvirt__rbd_user=ceph.USER, libvirt__rbd_secret_uuid=SECRET, libvirt__rbd_destroy_volume_retries=4,
                            libvirt__rbd_destroy_volume_retry_interval=1, glance_store__rbd_store_pool=ceph.IMAGES, agent__helper_path=HELPERS,
                            **options)
        self.agent = Agent(scratch, **self.options)

    @property
    def disk(self):
        return f"{self.id}_disk"

    def tool(self, command, *args, other_host=False, check_ok=True):
        """One call of the driver, in a process of its own: {"seconds", "result" or "error"}."""
        argv = [BUILD / "tests/contract/rbd-tool", HELPERS, self.cluster.conf, ceph.USER, command, *args]
        argv = ceph.on_other_host(*argv) if other_host else [str(a) for a in argv]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            raise Failed(f"rbd-tool {command}: {done.returncode} {done.stdout}{done.stderr}")
        answer = json.loads(done.stdout)
        if check_ok and "error" in answer:
            raise Failed(f"rbd-tool {command}: {answer['error']}")
        return answer


def run(cases, **options):
    """The cases with a cluster of their own, which the first of them starts; the agent's log where one failed."""
    with tempfile.TemporaryDirectory() as scratch:
        cluster = ceph.Cluster(os.environ["LAB_DIR"] + "/ceph")
        lab = Rbd(scratch, cluster, **options)
        try:
            tap.run(cases, lab)
        except SystemExit as end:
            if end.code and lab.agent.log.exists():
                say(f"daemons of Ceph and how they ended: { {name: daemon.poll() for name, daemon in cluster.daemons.items()} }")
                for line in lab.agent.log.read_text().splitlines()[-150:]:
                    say(f"log: {line}")
            raise
        finally:
            cluster.stop()
