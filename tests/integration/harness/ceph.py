"""A Ceph cluster of one node for one test: a monitor, a manager and one OSD (bluestore on a sparse file), with cephx, in the test's own
network namespace, and a second "host" of its own address. What it starts ends with stop(), by pid."""
import json
import os
import pickle
import re
import signal
import subprocess
import time
import uuid
from pathlib import Path

import rados
import rbd

from .agent import Failed, wait_for

ADDRESS = "10.99.0.1"
OTHER = "10.99.0.2"  # of the namespace "other": another host
OTHER_NAMESPACE = "other"
IMAGES, VMS = "images", "vms"
USER = "agent"
CONF = """[global]
fsid = {fsid}
mon host = {address}
public addr = {address}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
mon warn on pool no redundancy = false
mon allow pool size one = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = bluestore
osd memory target = 939524096
bluestore block size = 8589934592
bluestore block wal create = false
bluestore block db create = false
osd max object name len = 256
ms bind msgr2 = true
mgr initial modules =
mgr pool = false
log file = {dir}/log/$name.log
log to stderr = false
err to stderr = true
mon cluster log file = {dir}/log/cluster.log
run dir = {dir}/run
admin socket = {dir}/run/$name.$pid.asok
mon data = {dir}/mon
osd data = {dir}/osd
mgr data = {dir}/mgr
keyring = {dir}/$name.keyring
[mon]
keyring = {dir}/mon/keyring
"""


def run(*argv, timeout=60):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(a) for a in argv)}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def make_networks():
    """ADDRESS on this namespace's end of a cable, OTHER on the end in a namespace of its own."""
    run("ip", "netns", "add", OTHER_NAMESPACE)
    run("ip", "link", "add", "ceph0", "type", "veth", "peer", "name", "ceph1", "netns", OTHER_NAMESPACE)
    run("ip", "addr", "add", f"{ADDRESS}/24", "dev", "ceph0")
    run("ip", "link", "set", "ceph0", "up")
    for words in (("addr", "add", f"{OTHER}/24", "dev", "ceph1"), ("link", "set", "ceph1", "up"), ("link", "set", "lo", "up")):
        run("ip", "-n", OTHER_NAMESPACE, *words)


def on_other_host(*argv):
    """The command line that runs argv with OTHER as its address."""
    return ["ip", "netns", "exec", OTHER_NAMESPACE, *[str(a) for a in argv]]


class Cluster:
    def __init__(self, directory):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        for name in ("log", "run", "mon", "osd", "mgr"):
            (self.dir / name).mkdir(exist_ok=True)
        self.fsid = str(uuid.uuid4())
        self.conf = self.dir / "ceph.conf"
        self.conf.write_text(CONF.format(fsid=self.fsid, address=ADDRESS, dir=self.dir))
        self.daemons = {}
        self.admin = None

    # --- daemons
    def launch(self, name, *argv):
        log = open(self.dir / "log" / f"{name}.out", "ab")
        self.daemons[name] = subprocess.Popen([*argv, "-c", str(self.conf), "-f"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        """Ready for images within about 20 s; answers how long it took."""
        began = time.monotonic()
        make_networks()
        self.make_monitor()
        self.launch("mon", "ceph-mon", "-i", "a")
        self.connect()
        self.make_osd()
        self.key("mgr.x", {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"})
        self.launch("mgr", "ceph-mgr", "-i", "x")
        wait_for("the OSD to be up", lambda: self.command("osd stat")["num_up_osds"] == 1, 60, 0.1)
        self.make_pools()
        wait_for("the pools to tell their size", lambda: all(self.free(p) > 0 for p in (IMAGES, VMS)), 60, 0.2)
        return time.monotonic() - began

    def make_monitor(self):
        keyring, admin = self.dir / "mon.keyring", self.dir / "client.admin.keyring"
        run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        run("ceph-authtool", "--create-keyring", admin, "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *",
            "--cap", "mds", "allow *", "--cap", "mgr", "allow *")
        run("ceph-authtool", keyring, "--import-keyring", admin)
        monmap = self.dir / "monmap"
        run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[v2:{ADDRESS}:3300,v1:{ADDRESS}:6789]", monmap)
        run("ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)

    def make_osd(self):
        osd_uuid, key = str(uuid.uuid4()), self.new_key()
        self.command("osd new", uuid=osd_uuid, payload=json.dumps({"cephx_secret": key}))
        keyring = self.dir / "osd.0.keyring"
        keyring.write_text(f"[osd.0]\n\tkey = {key}\n")
        run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd_uuid)
        self.launch("osd", "ceph-osd", "-i", "0")

    def make_pools(self):
        for pool in (IMAGES, VMS):
            self.command("osd pool create", pool=pool, pg_num=8, pgp_num=8)
            with self.admin.open_ioctx(pool) as io:
                rbd.RBD().pool_init(io, True)  # the first image need not do it
        # What the documentation of Ceph gives a hypervisor; profile rbd lets it blocklist as well.
        self.key(f"client.{USER}", {"mon": "profile rbd", "osd": f"profile rbd pool={VMS}, profile rbd pool={IMAGES}", "mgr": "profile rbd"})

    @staticmethod
    def new_key():
        return run("ceph-authtool", "--gen-print-key").strip()

    def key(self, entity, caps):
        """Makes the user with these capabilities, and its keyring."""
        pairs = [word for kind, cap in caps.items() for word in (kind, cap)]
        answer = self.command("auth get-or-create", entity=entity, caps=pairs)
        (self.dir / f"{entity}.keyring").write_text(f"[{entity}]\n\tkey = {answer[0]['key']}\n")
        os.chmod(self.dir / f"{entity}.keyring", 0o600)

    @property
    def secret(self):
        """The key of client.agent."""
        return re.search(r"key = (\S+)", (self.dir / f"client.{USER}.keyring").read_text()).group(1)

    def stop(self):
        if self.admin:
            self.admin.shutdown()
        for name in ("osd", "mgr", "mon"):
            daemon = self.daemons.get(name)
            if daemon:
                daemon.send_signal(signal.SIGCONT)
                daemon.send_signal(signal.SIGKILL)
                daemon.wait()

    def pause(self):
        for daemon in self.daemons.values():
            daemon.send_signal(signal.SIGSTOP)

    def resume(self):
        for daemon in self.daemons.values():
            daemon.send_signal(signal.SIGCONT)

    # --- what it holds
    def connect(self):
        self.admin = rados.Rados(conffile=str(self.conf), name="client.admin", conf={"client_mount_timeout": "30", "rados_osd_op_timeout": "30",
                                                                                       "rados_mon_op_timeout": "30"})
        self.admin.connect()

    def command(self, prefix, **arguments):
        payload = arguments.pop("payload", "").encode()
        status, out, text = self.admin.mon_command(json.dumps({"prefix": prefix, "format": "json", **arguments}), payload, timeout=30)
        if status < 0:
            raise Failed(f"{prefix} {arguments}: {status} {text}")
        # Some commands add a sentence behind the JSON.
        return json.JSONDecoder().raw_decode(out.decode().strip())[0] if out.strip() else None

    def pool_stats(self, pool):
        return next((p["stats"] for p in self.command("df")["pools"] if p["name"] == pool), {"max_avail": 0, "stored": 0})

    def free(self, pool):
        return self.pool_stats(pool)["max_avail"]

    def ls(self, pool):
        with self.admin.open_ioctx(pool) as io:
            return sorted(rbd.RBD().list(io))

    def trash(self, pool):
        with self.admin.open_ioctx(pool) as io:
            return sorted(entry["name"] for entry in rbd.RBD().trash_list(io))

    def objects(self, pool):
        """Names of the data and header objects of images: what a deleted image must not leave."""
        with self.admin.open_ioctx(pool) as io:
            return sorted(o.key for o in io.list_objects() if re.match(r"rbd_(data|header|object_map|id)\.", o.key))

    def image(self, pool, name):
        """An image to be read, for `with`."""
        return _Look(self.conf, pool, name)

    def blocklist(self):
        return [entry["addr"] for entry in self.command("osd blocklist ls")]


# Opens the image for reading, calls one method of it and answers with what it gave, or the name of librbd's exception.
LOOK = """
import pickle, sys, rados, rbd
conf, pool, name, method, arguments = pickle.load(sys.stdin.buffer)
with rados.Rados(conffile=conf, name="client.admin", conf={"rados_osd_op_timeout": "30", "rados_mon_op_timeout": "30"}) as cluster:
    with cluster.open_ioctx(pool) as io:
        try:
            with rbd.Image(io, name, read_only=True) as image:
                found = getattr(image, method)(*arguments)
                answer = "found", found if isinstance(found, (bytes, str, int, bool, tuple, dict, type(None))) else list(found)
        except rbd.Error as error:
            answer = "failed", type(error).__name__
sys.stdout.buffer.write(pickle.dumps(answer))
sys.stdout.buffer.flush()
"""


class _Look:
    """An image, read. Each method is called in a process of its own: librbd 16 now and then ends the process that opens and closes images
    beside other work ("terminate called after throwing an instance of 'std::system_error'"), and it should not be the test's."""

    def __init__(self, conf, pool, name):
        self.place = (str(conf), pool, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __getattr__(self, method):
        return lambda *arguments: self.look(method, arguments)

    def look(self, method, arguments):
        for _ in range(3):
            done = subprocess.run(["/usr/bin/python3", "-c", LOOK], input=pickle.dumps((*self.place, method, arguments)), capture_output=True, timeout=240)
            if done.returncode >= 0:
                break
            print(f"# librbd ended the process that looked at {self.place[1:]}: {done.stderr.decode()[-300:]!r}", flush=True)
        if done.returncode != 0:
            raise Failed(f"{method} of {self.place[1:]}: {done.returncode} {done.stderr.decode()[-2000:]}")
        kind, answer = pickle.loads(done.stdout)
        if kind == "failed":
            raise getattr(rbd, answer)(f"{method} of {self.place[1:]}")
        return answer
