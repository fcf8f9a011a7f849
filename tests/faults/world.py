"""The host under test: one agent, tiny guests, one network; and what must hold whenever everything has come to rest."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import host_state
import tiny_guest
from harness.agent import BUILD, DATA, INSTANCES, Agent, Failed, domains, taps, virsh, wait_for

# Polite, its disks on a bus that gives a device up without the guest's help.
SCSI = "scsi"
SCSI_DISKS = {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}
VOLUMES = Path("/var/lib/nova/volumes")
RAM_MIB = 24
RESERVED_MIB = 512
KEPT = "ERROR, kept"  # in ERROR after it once ran; a build that failed has nothing
DEFINED = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "SOFT_DELETED", "VERIFY_RESIZE", "RESCUE", "SHELVED", KEPT)  # there is a domain
RUNNING = ("ACTIVE", "PAUSED", "VERIFY_RESIZE", "RESCUE")  # statuses in which it has a process
RECORDED = (*DEFINED, "SHELVED_OFFLOADED")  # statuses in which it has ports


def equal(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: {found!r}, expected {wanted!r}")


def block_jobs(uuid):
    """Disks of a running domain that a job works on."""
    listed = [line.split()[0] for line in virsh("domblklist", uuid).stdout.splitlines() if line.split()]
    return [target for target in listed if virsh("blockjob", uuid, target, "--info", check=False).stdout.strip()]


class World:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.images = {}
        for kind in (tiny_guest.POLITE, tiny_guest.DEAF, SCSI):
            (self.scratch / kind).write_bytes(tiny_guest.image(kind))
        self.configure()
        self.made = 0
        self.set_up()

    def configure(self, **more):
        """Options for the next start."""
        # A polite guest is off in milliseconds; waiting for a deaf one is most of what its cases take.
        options = dict(shutdown_timeout=2, cpu_allocation_ratio=32, reserved_host_memory_mb=RESERVED_MIB,
                       libvirt__wait_soft_reboot_seconds=2, agent__drain_timeout=60, shelved_offload_time=-1)
        self.agent = Agent(self.scratch, **{**options, **more})

    def set_up(self):
        self.agent.start()
        for kind in (tiny_guest.POLITE, tiny_guest.DEAF, SCSI):
            self.images[kind] = self.agent.image(self.scratch / kind, "raw", kind, **(SCSI_DISKS if kind == SCSI else {}))
        self.flavor = self.agent.flavor("tiny", ram=RAM_MIB, disk=1)
        self.larger = self.agent.flavor("larger", ram=RAM_MIB + 8, vcpus=2, disk=2)
        self.network = self.agent.network("net")
        self.large = set()  # uuids of servers with the larger flavor, or that may still get it
        self.standing = {}  # uuid -> (kind of guest, status): left by cases that passed, for cases that need one

    def large_image(self, chance):
        """One that takes a moment to fetch."""
        path = self.scratch / "large"
        path.write_bytes(tiny_guest.image(tiny_guest.POLITE) + chance.randbytes(128 << 20))
        return self.agent.image(path, "raw", "large")

    def wipe(self):
        """After a case that failed: everything goes, so that the next one starts from nothing."""
        self.agent.kill()
        self.configure()
        for uuid in domains():
            virsh("destroy", uuid, check=False)
            virsh("undefine", uuid, check=False)
        for name in virsh("net-list", "--all", "--name").stdout.split():
            virsh("net-destroy", name, check=False)
            virsh("net-undefine", name, check=False)
        for top in (DATA, INSTANCES, VOLUMES):
            for entry in top.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.set_up()
        self.agent.stop()

    def fault_points(self):
        listed = subprocess.run([str(BUILD / "agent/compute-agent"), "--config-file", str(self.agent.config), "--list-fault-points"],
                                capture_output=True, text=True, timeout=60)
        if listed.returncode != 0 or not listed.stdout.split():
            raise Failed(f"--list-fault-points: exit {listed.returncode}: {listed.stdout}{listed.stderr}")
        return listed.stdout.split()

    # --- servers
    def order_build(self, kind=tiny_guest.POLITE):
        self.made += 1
        return self.agent.create(f"server-{self.made}", self.images[kind], self.flavor, [self.network])

    def active(self, kind):
        """An ACTIVE server whose guest runs its boot sector."""
        uuid = self.standing_server(kind, "ACTIVE")
        if uuid is None and (uuid := self.standing_server(kind, "SHUTOFF")):
            self.agent.action(uuid, {"os-start": None})
        elif uuid is None:
            uuid = self.order_build(kind)
        self.agent.wait_status(uuid, "ACTIVE")
        self.standing[uuid] = (kind, "ACTIVE")
        self.wait_guest(uuid, kind)
        return uuid

    def shut_off(self, kind):
        uuid = self.standing_server(kind, "SHUTOFF")
        if uuid is None:
            uuid = self.active(kind)
            self.agent.action(uuid, {"os-stop": None})
        self.agent.wait_status(uuid, "SHUTOFF")
        self.standing[uuid] = (kind, "SHUTOFF")
        return uuid

    def reach(self, kind, body, status):
        """A server that was active and is brought to `status`."""
        uuid = self.active(kind)
        self.agent.action(uuid, body)
        self.agent.wait_status(uuid, status)
        return uuid

    # --- volumes
    def volume(self, status="available"):
        """A new one, or none: the one there is."""
        made = self.agent.ok("POST", "/volume/v3/volumes", {"volume": {"size": 1, "name": "volume"}})["volume"]["id"]
        self.agent_volume(made, status)
        return made

    def agent_volume(self, volume, status):
        def look():
            found = self.agent.ok("GET", f"/volume/v3/volumes/{volume}")["volume"]
            return found if found["status"] == status else None
        return wait_for(f"volume {volume} to be {status}", look, 60)

    def attached(self, uuid):
        """The server, with a volume."""
        volume = self.volume()
        self.agent.ok("POST", f"/compute/v2.1/servers/{uuid}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})
        self.agent_volume(volume, "in-use")
        self.agent.wait_idle()
        return uuid

    def volumes(self):
        return self.agent.ok("GET", "/volume/v3/volumes/detail")["volumes"]

    def remove_volumes(self):
        """Call with the agent running: as it was before any volume."""
        for volume in self.volumes():
            for attachment in volume["attachments"]:
                path = f"/compute/v2.1/servers/{attachment['server_id']}/os-volume_attachments/{volume['id']}"
                equal(self.agent.call("DELETE", path)[0], 202, "status of a detachment")
                self.agent_volume(volume["id"], "available")
            equal(self.agent.call("DELETE", f"/volume/v3/volumes/{volume['id']}")[0], 202, "status of a volume's DELETE")
        wait_for("no volume to be left", lambda: not self.volumes(), 60)
        equal([p.name for p in VOLUMES.iterdir()], [], "files of volumes")

    def standing_server(self, kind, status):
        return next((u for u, what in self.standing.items() if what == (kind, status)), None)

    def wait_guest(self, uuid, kind):
        log = INSTANCES / uuid / "console.log"
        wait_for(f"the guest of {uuid} to run", lambda: log.exists() and kind.encode() + b"\n" in log.read_bytes()[-64:], 60)

    def order(self, uuid, body, status):
        """An action, and its end."""
        answered, answer = self.agent.action(uuid, body)
        equal(answered, 202, f"status of {body} ({answer})")
        self.agent.wait_status(uuid, status)
        self.standing[uuid] = (self.standing[uuid][0], status)
        return uuid

    def snapshots(self):
        """Images that were made of servers, without those that shelved ones come back from."""
        return [i["id"] for i in self.agent.ok("GET", "/image/v2/images")["images"] if "image_type" in i and not i["name"].endswith("-shelved")]

    def drop_snapshots(self):
        for image in self.snapshots():
            self.agent.ok("DELETE", f"/image/v2/images/{image}")

    def delete(self, uuid):
        equal(self.agent.call("DELETE", f"/compute/v2.1/servers/{uuid}")[0], 204, "status of DELETE")
        self.agent.wait_status(uuid, "DELETED")
        self.standing.pop(uuid, None)
        self.large.discard(uuid)

    def soft_deleted(self):
        return self.agent.ok("GET", "/compute/v2.1/servers/detail?status=SOFT_DELETED")["servers"]

    def claim(self, uuid):
        """vCPUs, MiB and GiB that are reserved for it."""
        return (2, RAM_MIB + 8, 2) if uuid in self.large else (1, RAM_MIB, 1)

    # --- what must hold at rest
    def check_at_rest(self, expected):
        """Call with the agent running and idle: `expected` (uuid -> status) is all there is, seen from outside."""
        self.agent.wait_idle()
        shown = {s["id"]: (s["status"], s["OS-EXT-STS:task_state"]) for s in self.agent.servers() + self.soft_deleted()}
        equal(shown, {u: (status.split(",")[0], None) for u, status in expected.items()}, "servers")
        defined = {u for u, status in expected.items() if status in DEFINED}
        running = {u for u, status in expected.items() if status in RUNNING}
        recorded = {u for u, status in expected.items() if status in RECORDED}
        there = host_state.domains()
        equal(set(there), defined, "domains that libvirt has")
        equal({u for u, (_, pid) in there.items() if pid}, running, "domains that run")
        equal(len(host_state.processes("qemu-system")), len(running), "QEMU processes")
        equal(host_state.processes("qemu-img"), [], "qemu-img processes")
        kept = {u + "_resize" for u, status in expected.items() if status == "VERIFY_RESIZE"}
        equal(host_state.instance_dirs(), sorted(defined | kept), "instance directories")
        equal(host_state.half_written(), [], "temporary files")
        ports = self.agent.ok("GET", "/network/v2.0/ports")["ports"]
        equal(sorted(p["device_id"] for p in ports), sorted(recorded), "servers of the ports")
        equal(sorted(taps()), sorted("tap" + p["id"][:11] for p in ports if p["device_id"] in running), "taps")
        if host_state.network_is_there(self.network):
            equal(host_state.dhcp_macs(self.network), sorted(p["mac_address"] for p in ports if p["device_id"] in defined), "DHCP entries")
        images = self.agent.ok("GET", "/image/v2/images")["images"]
        equal({i["status"] for i in images}, {"active"}, "statuses of images")
        equal(sorted(p.name for p in (DATA / "images").iterdir()), sorted(i["id"] for i in images), "data in the image store")
        equal([(u, target) for u in running for target in block_jobs(u)], [], "block jobs")
        used = self.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics")["hypervisor_statistics"]
        equal((used["vcpus_used"], used["memory_mb_used"], used["local_gb_used"]),
              tuple(sum(amounts) for amounts in zip((0, RESERVED_MIB, 0), *map(self.claim, defined))), "claimed vCPUs, MiB and GiB")

    def check_store(self, expected):
        """Call with the agent stopped. The store as it is."""
        store = host_state.Store()
        equal(store.spooled, 0, "messages in the spool")
        equal(store.open_operations(), [], "open operations")
        equal(set(store.instances()), set(expected), "instance records")
        for uuid, status in expected.items():
            record = store.instances()[uuid]
            if status == "ERROR":
                equal((record.get("claim"), record["port_ids"]), (None, []), f"claim and ports of {uuid}")
                continue
            equal(record["port_ids"], store.ports_of(uuid), f"ports of {uuid}")
            equal(len(record["port_ids"]), 1, f"number of ports of {uuid}")
            if status == "SHELVED_OFFLOADED":
                equal(record.get("claim"), None, f"claim of {uuid}")
                continue
            equal(record["claim"], dict(zip(("vcpus", "memory_mib", "disk_gib"), self.claim(uuid))), f"claim of {uuid}")
        return store
