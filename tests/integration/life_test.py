"""The life of an instance on real libvirt and QEMU: what it is ordered to do beyond start and stop, and what others do to its domain."""
import base64
import json
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from harness import guest, tap
from harness.agent import DATA, INSTANCES, Agent, domains, virsh, wait_for
from harness.check import check, equal, says

NETWORK = "net1"
WITHIN = 5  # seconds in which the record follows what somebody did to the domain
# The guest agent's protocol, as far as libvirt needs it to set a password.
GUEST_AGENT = r"""#!/bin/sh
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] && device=/dev/${port##*/}
done
exec 3<> "$device"
echo agent listens
while read -r line <&3; do
    case $line in
        *guest-sync*) id=${line##*\"id\":}; echo "{\"return\": ${id%%[!0-9]*}}" >&3 ;;
        *guest-set-user-password*) echo "asked: $line"; echo '{"return": {}}' >&3 ;;
        *) echo '{"return": {}}' >&3 ;;
    esac
done
"""


class Life:
    """One agent and one server, demo1, that the cases work on one after the other."""

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.options = dict(cpu_allocation_ratio=16, shutdown_timeout=30)
        self.agent = Agent(scratch, **self.options)

    def restart(self, **options):
        equal(self.agent.stop(), 0, "exit status of the agent")
        self.agent = Agent(self.scratch, **{**self.options, **options}).start()

    @property
    def server(self):
        return self.agent.server(self.id)

    @property
    def dir(self):
        return INSTANCES / self.id

    @property
    def kept(self):
        return INSTANCES / f"{self.id}_resize"

    def ctl(self, *args, **more):
        return self.agent.ctl(*args, **more)

    def refused(self, *args):
        done = self.ctl(*args, check=False)
        equal(done.returncode, 1, f"exit status of {args} ({done.stdout}{done.stderr})")
        return done.stderr

    def states(self):
        server = self.server
        return server["status"], server["OS-EXT-STS:power_state"]

    def wait_states(self, *wanted):
        wait_for(f"{wanted} instead of {self.states()}", lambda: self.states() == wanted and self.server["OS-EXT-STS:task_state"] is None, WITHIN)

    def boots(self):
        return int(re.findall(r"demo: boots=(\d+)", guest.console(self.agent, self.id))[-1])

    def check_went_on(self):
        """It serves, and has not booted since its process started: the console log begins anew with each process."""
        guest.wait_page(self.address)
        check("demo: boots=" not in guest.console(self.agent, self.id), "the guest booted instead of going on")

    def listed(self, *args):
        return [s["Name"] for s in json.loads(self.ctl("server", "list", "-f", "json", *args).stdout)]

    def used(self):
        shown = self.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics")["hypervisor_statistics"]
        return shown["vcpus_used"], shown["memory_mb_used"] - 512, shown["local_gb_used"]

    def newest_action(self):
        return self.agent.actions(self.id)[0]


def disk_gib(path):
    done = subprocess.run(["qemu-img", "info", "-U", "--output=json", str(path)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["virtual-size"] / (1 << 30)


def AServerIsMade(t):
    t.image = t.agent.image(guest.QCOW2, "qcow2", "demo", hw_qemu_guest_agent="yes")
    t.agent.flavor("t1", ram=128, vcpus=1, disk=1)
    t.agent.flavor("t2", ram=192, vcpus=2, disk=2)
    t.agent.flavor("small-disk", ram=128, vcpus=4, disk=1)
    t.agent.flavor("no-disk", ram=128, vcpus=1, disk=0)
    t.agent.network(NETWORK)
    data = t.scratch / "user-data"
    data.write_text(GUEST_AGENT)
    made = json.loads(t.ctl("server", "create", "--image", "demo", "--flavor", "t1", "--network", NETWORK, "--user-data", str(data),
                            "--wait", "-f", "json", "demo1").stdout)
    t.id, t.domain = made["id"], made["OS-EXT-SRV-ATTR:instance_name"]
    t.address = guest.address(t.server, NETWORK)
    guest.wait_page(t.address)


# --- orders

def PauseStopsTheGuestAndUnpauseLetsItGoOn(t):
    t.ctl("server", "pause", "--wait", "demo1")
    equal(t.states(), ("PAUSED", 3), "states")
    equal(guest.state_reason(t.id), "paused (user)", "libvirt's state")
    says(t.refused("server", "pause", "demo1"), f"Cannot 'pause' instance {t.id} while it is in vm_state paused")
    says(t.refused("server", "stop", "demo1"), "vm_state paused")
    t.ctl("server", "unpause", "--wait", "demo1")
    equal(t.states(), ("ACTIVE", 1), "states")
    guest.wait_page(t.address)
    says(t.refused("server", "unpause", "demo1"), "vm_state active")


def SuspendSavesTheMemoryAndResumeGoesOnFromIt(t):
    pid = guest.qemu_pid(t.id)
    t.ctl("server", "suspend", "--wait", "demo1")
    equal(t.states(), ("SUSPENDED", 4), "states")
    equal(guest.state_reason(t.id), "shut off (saved)", "libvirt's state")
    equal(guest.qemu_pid(t.id), None, "process of the guest")
    says(t.refused("server", "pause", "demo1"), "vm_state suspended")
    t.ctl("server", "resume", "--wait", "demo1")
    equal(t.states(), ("ACTIVE", 1), "states")
    t.check_went_on()
    check(guest.qemu_pid(t.id) not in (None, pid), "the guest is not in a process of its own")


def HardRebootOfASuspendedServerBoots(t):
    t.ctl("server", "suspend", "--wait", "demo1")
    t.ctl("server", "reboot", "--hard", "--wait", "demo1")
    equal(guest.wait_console(t.agent, t.id, r"demo: boots=2\r?\n(?s:.*)demo: ready") is not None, True, "second boot")
    guest.wait_page(t.address)


def LockShowsItsReasonAndUnlockTakesItAway(t):
    t.ctl("server", "lock", "--reason", "audit", "demo1")
    equal((t.server["locked"], t.server["locked_reason"]), (True, "audit"), "lock")
    equal((t.listed("--locked"), t.listed("--unlocked")), (["demo1"], []), "lists")
    t.ctl("server", "unlock", "demo1")
    equal((t.server["locked"], t.server["locked_reason"]), (False, None), "lock")
    equal([a["action"] for a in t.agent.actions(t.id)][:2], ["unlock", "lock"], "actions")


def SetAndUnsetChangeTheRecord(t):
    t.ctl("server", "set", "--name", "web1", "--description", "front", "--property", "role=web", "--property", "tier=1", "--tag", "blue",
          "--tag", "green", "demo1")
    server = t.server
    equal((server["name"], server["description"], server["metadata"], server["tags"]),
          ("web1", "front", {"role": "web", "tier": "1"}, ["blue", "green"]), "after set")
    equal(t.agent.ok("GET", f"/compute/v2.1/servers/{t.id}/tags"), {"tags": ["blue", "green"]}, "tags")
    equal(t.agent.ok("GET", f"/compute/v2.1/servers/{t.id}/metadata/role"), {"meta": {"role": "web"}}, "one item")
    t.ctl("server", "unset", "--property", "tier", "--tag", "green", "--description", "web1")
    t.ctl("server", "set", "--name", "demo1", t.id)
    server = t.server
    equal((server["name"], server["description"], server["metadata"], server["tags"]), ("demo1", None, {"role": "web"}, ["blue"]), "after unset")
    says(t.refused("server", "unset", "--property", "tier", "demo1"), "Metadata item was not found: tier")
    says(t.refused("server", "set", "--tag", "a,b", "demo1"), "a,b")
    t.ctl("server", "set", "--state", "error", "demo1")
    equal(t.server["status"], "ERROR", "status")
    t.ctl("server", "set", "--state", "active", "demo1")
    equal(t.states(), ("ACTIVE", 1), "states")


def ListTakesFiltersOrderAndPages(t):
    flavor, empty = t.agent.flavor("idle", ram=32), t.scratch / "empty"
    empty.write_bytes(bytes(1 << 20))
    image = t.agent.image(empty, "raw", "empty")
    for name in ("b-2", "a-1"):
        t.agent.wait_status(t.agent.create(name, image, flavor), "ACTIVE")
    equal(t.listed("--name", "^[ab]-[0-9]$"), ["a-1", "b-2"], "names by pattern, newest first")
    equal(t.listed("--image", "empty", "--sort-column", "Name"), ["a-1", "b-2"], "by image, sorted")
    equal(t.listed("--flavor", "t1"), ["demo1"], "by flavor")
    equal((t.listed("--tags", "blue"), t.listed("--not-tags", "blue")), (["demo1"], ["a-1", "b-2"]), "by tag")
    equal((t.listed("--status", "SHUTOFF"), t.listed("--deleted"), len(t.listed("--host", "lab", "--all-projects"))), ([], [], 3), "by status, deleted, host")
    equal(t.listed("--limit", "1"), ["a-1"], "first page")
    equal(t.listed("--limit", "1", "--marker", "a-1"), ["b-2"], "second page")
    equal(t.listed("--ip", t.address.replace(".", "\\.") + "$"), ["demo1"], "by address")
    equal((t.listed("--changes-since", "2100-01-01T00:00:00Z"), len(t.listed("--changes-since", "2020-01-01T00:00:00Z"))), ([], 3), "by time of change")
    names = lambda query: [s["name"] for s in t.agent.ok("GET", "/compute/v2.1/servers?" + query)["servers"]]
    equal(names("sort_key=display_name&sort_dir=asc"), ["a-1", "b-2", "demo1"], "by name")
    first = t.agent.ok("GET", "/compute/v2.1/servers?sort_key=display_name&sort_dir=asc&limit=2")
    link = first["servers_links"][0]["href"]
    equal([s["name"] for s in t.agent.ok("GET", link)["servers"]], ["demo1"], "the page that the first one names")
    for query, words in (("name=%28", "no regular expression"), ("name=a%7B1000%7D", "'{'"), ("sort_key=secret", "sort_key"), ("changes-since=soon", "no time")):
        status, answer = t.agent.call("GET", "/compute/v2.1/servers?" + query)
        equal(status, 400, query)
        says(json.dumps(answer), words)
    t.ctl("server", "delete", "--wait", "a-1", "b-2")


def DiagnosticsCountWhatTheGuestDid(t):
    shown = t.agent.ok("GET", f"/compute/v2.1/servers/{t.id}/diagnostics")
    equal((shown["state"], shown["driver"], shown["num_cpus"], shown["num_disks"], shown["num_nics"], shown["config_drive"]),
          ("running", "libvirt", 1, 2, 1, True), "diagnostics")
    check(shown["cpu_details"][0]["time"] > 0 and shown["disk_details"][0]["read_bytes"] > 1 << 20, f"nothing was counted: {shown}")
    port = t.agent.ok("GET", f"/network/v2.0/ports?device_id={t.id}")["ports"][0]
    nic = shown["nic_details"][0]
    check(nic["mac_address"] == port["mac_address"] and nic["rx_packets"] > 0 and nic["tx_octets"] > 0, f"NIC: {nic}")
    equal(shown["memory_details"]["maximum"], 128, "MiB")
    says(t.ctl("server", "show", "--diagnostics", "demo1").stdout, "cpu_details", "memory_details")


def CrashDumpReachesTheGuestAsAnNmi(t):
    t.ctl("server", "dump", "create", "demo1")
    guest.wait_console(t.agent, t.id, "NMI")
    equal(t.states(), ("ACTIVE", 1), "states")


def PasswordIsSetByTheGuestAgentAndKeptNowhere(t):
    guest.wait_console(t.agent, t.id, "agent listens")
    secret = "Sesame-open-4711"
    t.ctl("server", "set", "--password", secret, "demo1")
    t.agent.wait_status(t.id, "ACTIVE")
    says(guest.wait_console(t.agent, t.id, r"asked: .*").group(0), base64.b64encode(secret.encode()).decode(), '"root"')
    equal((t.newest_action()["action"], t.newest_action()["message"]), ("changePassword", None), "action")
    check(secret not in t.agent.log.read_text(), "the log has the password")
    check(secret not in json.dumps(t.server), "server show has the password")
    for name in ("agent.db", "agent.db-wal"):  # the agent keeps its store locked
        shutil.copy(DATA / name, t.scratch)
    with sqlite3.connect(t.scratch / "agent.db") as db:
        args = [row[0] for row in db.execute("SELECT args FROM operation WHERE method = 'set_admin_password'")]
        equal([json.loads(a) for a in args], [{"instance": {"uuid": t.id}}], "what the journal keeps of the order")


def PasswordOrderOutlivesAKillAtEachPoint(t):
    for point in ("before", "ran", "recorded"):
        secret = f"after-{point}"
        equal(t.agent.stop(), 0, "exit status of the agent")
        t.agent.start(f"set_admin_password/set_password:{point}=kill")
        equal(t.agent.action(t.id, {"changePassword": {"adminPass": secret}})[0], 202, "status of the order")
        equal(t.agent.wait_death(), -9, "how the agent ended")
        t.agent.start()
        t.agent.wait_status(t.id, "ACTIVE")
        guest.wait_console(t.agent, t.id, base64.b64encode(secret.encode()).decode())
        equal(t.newest_action()["message"], None, f"outcome after a kill at {point}")


# --- resize

def ResizeRefusesWhatNovaRefuses(t):
    equal(t.states(), ("ACTIVE", 1), "states")
    says(t.refused("server", "resize", "--flavor", "t1", "demo1"), "When resizing, instances must change flavor!")
    says(t.refused("server", "resize", "--flavor", "no-disk", "demo1"), "Resize to zero disk flavor is not allowed.")
    says(t.refused("server", "resize", "confirm", "demo1"), "Cannot 'confirmResize'", "vm_state active")
    equal(t.states(), ("ACTIVE", 1), "states")


def ResizeGivesMoreOfEverythingAndRevertGivesTheOldDiskBack(t):
    boots, used = t.boots(), t.used()
    t.ctl("server", "resize", "--flavor", "t2", "--wait", "demo1")
    equal(t.states(), ("VERIFY_RESIZE", 1), "states")
    equal((t.server["flavor"]["original_name"], disk_gib(t.dir / "disk"), disk_gib(t.kept / "disk")), ("t2", 2, 1), "flavor and disks")
    info = virsh("dominfo", t.id).stdout
    check(re.search(r"CPU\(s\):\s+2\n", info) and re.search(r"Max memory:\s+196608 KiB", info), f"the guest has not what t2 gives: {info}")
    equal(json.loads((t.dir / "instance.json").read_text())["flavor"]["name"], "t2", "flavor in instance.json")
    equal(t.used(), (used[0] + 1, used[1] + 64, used[2] + 1), "claims")
    guest.wait_page(t.address)
    equal(t.boots(), boots + 1, "boots that the new disk counts")
    says(t.refused("server", "stop", "demo1"), "vm_state resized")
    t.ctl("server", "resize", "revert", "--wait", "demo1")
    equal(t.states(), ("ACTIVE", 1), "states")
    equal((t.server["flavor"]["original_name"], disk_gib(t.dir / "disk"), t.kept.exists(), t.used()), ("t1", 1, False, used), "after the revert")
    guest.wait_page(t.address)
    equal(t.boots(), boots + 1, "boots that the old disk counts: that of the new one is not among them")


def ResizeOfAStoppedServerLeavesItStopped(t):
    t.ctl("server", "stop", "--wait", "demo1")
    used = t.used()
    t.ctl("server", "resize", "--flavor", "t2", "--wait", "demo1")
    equal(t.states(), ("VERIFY_RESIZE", 4), "states")
    t.ctl("server", "resize", "confirm", "--wait", "demo1")
    equal(t.states(), ("SHUTOFF", 4), "states")
    equal((t.kept.exists(), disk_gib(t.dir / "disk"), t.used()), (False, 2, (used[0] + 1, used[1] + 64, used[2] + 1)), "after the confirm")
    says(t.refused("server", "resize", "--flavor", "small-disk", "demo1"), "Unable to resize disk down")
    t.ctl("server", "start", "--wait", "demo1")
    guest.wait_page(t.address)


# --- what others do to the domain

def VirshSuspendIsAPowerStateAndNoOrder(t):
    virsh("suspend", t.id)
    t.wait_states("ACTIVE", 3)
    virsh("resume", t.id)
    t.wait_states("ACTIVE", 1)


def VirshResumeOfAPausedServerMakesItActive(t):
    t.ctl("server", "pause", "--wait", "demo1")
    virsh("resume", t.id)
    t.wait_states("ACTIVE", 1)


def VirshManagedSaveIsShutoffAndStartGoesOnFromIt(t):
    virsh("managedsave", t.id)
    t.wait_states("SHUTOFF", 4)
    t.ctl("server", "start", "--wait", "demo1")
    t.check_went_on()


def VirshStartOfASuspendedServerMakesItActive(t):
    t.ctl("server", "suspend", "--wait", "demo1")
    virsh("start", t.id)
    t.wait_states("ACTIVE", 1)
    t.check_went_on()


def UndefiningASuspendedServerMakesItShutoff(t):
    t.ctl("server", "suspend", "--wait", "demo1")
    virsh("undefine", "--managed-save", t.id)
    t.wait_states("SHUTOFF", 0)
    t.ctl("server", "start", "--wait", "demo1")
    equal(t.states(), ("ACTIVE", 1), "states")
    guest.wait_page(t.address)


def DestroyedInVerifyResizeItIsConfirmedAsShutoff(t):
    t.agent.flavor("t3", ram=128, vcpus=1, disk=2)
    t.ctl("server", "resize", "--flavor", "t3", "--wait", "demo1")
    virsh("destroy", t.id)
    t.wait_states("VERIFY_RESIZE", 4)
    t.ctl("server", "resize", "confirm", "--wait", "demo1")
    equal(t.states(), ("SHUTOFF", 4), "states")


# --- what ends by itself

def DeleteIsSoftWithReclaimInstanceInterval(t):
    t.restart(reclaim_instance_interval=3600)
    t.ctl("server", "start", "--wait", "demo1")
    t.ctl("server", "delete", "--wait", "demo1")
    equal((t.states(), domains()), (("SOFT_DELETED", 4), {t.id: "shut off"}), "states")
    equal((t.listed(), t.listed("--status", "SOFT_DELETED"), t.listed("--deleted")), ([], ["demo1"], ["demo1"]), "lists")
    says(t.refused("server", "start", t.id), "vm_state soft-delete")
    equal(t.agent.call("DELETE", f"/compute/v2.1/servers/{t.id}")[0], 204, "a second delete")
    equal(t.states(), ("SOFT_DELETED", 4), "states after it")


def VirshStartOfASoftDeletedServerIsPoweredOffAgain(t):
    virsh("start", t.id)
    wait_for("it to be powered off again", lambda: domains() == {t.id: "shut off"} and t.server["OS-EXT-STS:task_state"] is None, WITHIN)
    equal(t.states(), ("SOFT_DELETED", 4), "states")


def RestoreStartsItAndDeleteWithForceIsAtOnce(t):
    t.ctl("server", "restore", "--wait", "demo1")
    equal(t.states(), ("ACTIVE", 1), "states")
    guest.wait_page(t.address)
    t.ctl("server", "delete", "--wait", "demo1")
    t.ctl("server", "delete", "--force", "--wait", "demo1")
    equal((t.server, domains(), t.agent.leftovers(t.id)), (None, {}, []), "left over")


def WhatIsDueIsReclaimedAndConfirmedByTheTimer(t):
    t.restart(reclaim_instance_interval=2, resize_confirm_window=2)
    idle = next(f["id"] for f in t.agent.ok("GET", "/compute/v2.1/flavors")["flavors"] if f["name"] == "idle")
    larger = t.agent.flavor("idle2", ram=48, disk=1)
    image = t.agent.ok("GET", "/image/v2/images?name=empty")["images"][0]["id"]
    t.id = t.agent.create("short", image, idle)
    t.agent.wait_status(t.id, "ACTIVE")
    equal(t.agent.action(t.id, {"resize": {"flavorRef": larger}})[0], 202, "status of resize")
    wait_for("the resize to be confirmed", lambda: t.server["status"] == "ACTIVE" and t.server["flavor"]["original_name"] == "idle2", 60)
    wait_for("its disk of before to go", lambda: not t.kept.exists(), 5)
    began = time.monotonic()
    equal(t.agent.call("DELETE", f"/compute/v2.1/servers/{t.id}")[0], 204, "status of DELETE")
    t.agent.wait_status(t.id, "DELETED", 30)
    check(time.monotonic() - began >= 2, "it was not kept for two seconds")
    equal(t.agent.leftovers(t.id), [], "left over")


def AgentEndsWithStatusZeroAndNoErrorWasLogged(t):
    equal(t.agent.stop(), 0, "exit status")
    errors = [line for line in t.agent.log.read_text().splitlines() if re.search(r"\d (error|critical) ", line)]
    equal(errors, [], "errors in the log")


CASES = [AServerIsMade, PauseStopsTheGuestAndUnpauseLetsItGoOn, SuspendSavesTheMemoryAndResumeGoesOnFromIt, HardRebootOfASuspendedServerBoots,
         LockShowsItsReasonAndUnlockTakesItAway, SetAndUnsetChangeTheRecord, ListTakesFiltersOrderAndPages, DiagnosticsCountWhatTheGuestDid,
         CrashDumpReachesTheGuestAsAnNmi, PasswordIsSetByTheGuestAgentAndKeptNowhere, PasswordOrderOutlivesAKillAtEachPoint, ResizeRefusesWhatNovaRefuses,
         ResizeGivesMoreOfEverythingAndRevertGivesTheOldDiskBack, ResizeOfAStoppedServerLeavesItStopped, VirshSuspendIsAPowerStateAndNoOrder,
         VirshResumeOfAPausedServerMakesItActive, VirshManagedSaveIsShutoffAndStartGoesOnFromIt, VirshStartOfASuspendedServerMakesItActive,
         UndefiningASuspendedServerMakesItShutoff, DestroyedInVerifyResizeItIsConfirmedAsShutoff, DeleteIsSoftWithReclaimInstanceInterval,
         VirshStartOfASoftDeletedServerIsPoweredOffAgain, RestoreStartsItAndDeleteWithForceIsAtOnce, WhatIsDueIsReclaimedAndConfirmedByTheTimer,
         AgentEndsWithStatusZeroAndNoErrorWasLogged]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        life = Life(scratch)
        life.agent.start()
        tap.run(CASES, life)
