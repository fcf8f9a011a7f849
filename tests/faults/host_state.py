"""What is really there, on the host and in the agent's store, read without the agent's help."""
import os
import re
import shutil
import sqlite3
import tempfile
import json
from pathlib import Path

from harness.agent import DATA, INSTANCES, Failed, virsh

RUN = Path("/run/libvirt/qemu")
LOG = Path("/var/log/libvirt/qemu")


class Store:
    """The agent's store as it was when this was made. Taken from a copy: nothing may be repaired that the agent has to repair."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as scratch:
            for name in ("agent.db", "agent.db-wal"):
                if (DATA / name).exists():
                    shutil.copy(DATA / name, scratch)
            with sqlite3.connect(f"{scratch}/agent.db") as db:
                db.row_factory = sqlite3.Row
                self.records = {}
                for row in db.execute("SELECT kind, id, record FROM record"):
                    self.records.setdefault(row["kind"], {})[row["id"]] = json.loads(row["record"])
                self.operations = [dict(r) for r in db.execute("SELECT * FROM operation ORDER BY id")]
                self.spooled = db.execute("SELECT count(*) FROM spool").fetchone()[0]
                self.actions = [dict(r) for r in db.execute("SELECT * FROM action")]
                self.events = [dict(r) for r in db.execute("SELECT * FROM action_event ORDER BY id")]
            db.close()

    def instances(self):
        return self.records.get("instance", {})

    def ports(self):
        return self.records.get("port", {})

    def ports_of(self, uuid):
        return sorted(p["id"] for p in self.ports().values() if p["device_id"] == uuid)

    def open_operations(self):
        return [o for o in self.operations if o["state"] in ("open", "undoing")]

    def operations_of(self, uuid, method):
        return [o for o in self.operations if o["instance_uuid"] == uuid and o["method"] == method]

    def events_of(self, uuid, request_id):
        return [e for e in self.events if e["instance_uuid"] == uuid and e["request_id"] == request_id]


def domains():
    """uuid -> (name, pid of its QEMU or None)."""
    found = {}
    for line in virsh("list", "--all", "--uuid", "--name").stdout.splitlines():
        if line.split():
            uuid, name = line.split()
            found[uuid] = (name, pid_of(name))
    return found


def pid_of(domain):
    try:
        pid = int((RUN / f"{domain}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if os.path.exists(f"/proc/{pid}") else None


def starts(domain):
    """How often libvirt started a QEMU for this domain, ever."""
    log = LOG / f"{domain}.log"
    return len(re.findall(r": starting up libvirt version", log.read_text(errors="replace"))) if log.exists() else 0


def processes(name):
    """Command lines of the processes of that program."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if (proc / "comm").read_text().strip().startswith(name) and (proc / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.append((proc / "cmdline").read_text().replace("\0", " ")[:120])
        except OSError:
            continue
    return found


def dhcp_macs(network):
    """Of the DHCP entries: files that dnsmasq watches, named <mac>_<address>. Each has a name in the network's DNS."""
    entries = sorted(p.name for p in (INSTANCES.parent / "networks" / network).glob("*"))
    named = sorted(re.findall(r"<host ip='([^']+)'", virsh("net-dumpxml", network).stdout))
    if sorted(e.split("_")[1] for e in entries) != named:
        raise Failed(f"DHCP entries {entries} and names {named} of network {network} differ")
    return sorted(e.split("_")[0].replace("-", ":") for e in entries)


def network_is_there(network):
    return network in virsh("net-list", "--all", "--uuid").stdout.split()


def half_written():
    """Temporary files, and directories on their way out."""
    return [str(p) for top in (INSTANCES, DATA) for p in top.rglob("*") if p.name.endswith((".part", "_del"))]


def instance_dirs():
    return sorted(p.name for p in INSTANCES.iterdir() if p.name not in ("_base", "locks"))
