"""The agent ends, by order or by force, and comes back: guests run on, states are right, half-done things are gone or go on."""
import http.client
import signal
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from harness import guest, tap
from harness.agent import DATA, PORT, Agent, domains, taps, virsh, wait_for
from harness.check import check, equal, says

IMAGE = "/image/v2/images"


class Restart:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.agent = Agent(scratch, cpu_allocation_ratio=16, shutdown_timeout=2)
        self.blank = self.scratch / "blank.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(self.blank), "16M"], check=True)

    def prepare(self):
        self.agent.start()
        self.image = self.agent.image(self.blank, "qcow2", "blank")
        self.flavor = self.agent.flavor("tiny")
        self.network = self.agent.network("net1", "10.77.1.0/24")
        self.running, self.stopped = (self.agent.create(name, self.image, self.flavor, [self.network]) for name in ("running", "stopped"))
        for uuid in (self.running, self.stopped):
            self.agent.wait_status(uuid, "ACTIVE")
        self.agent.ctl("server", "stop", "--wait", "stopped")

    def statuses(self):
        return {s["name"]: (s["status"], s["OS-EXT-STS:power_state"], s["OS-EXT-STS:task_state"]) for s in self.agent.servers()}


AS_LEFT = {"running": ("ACTIVE", 1, None), "stopped": ("SHUTOFF", 4, None)}


def restarted(t, end):
    """Ends the agent that way and starts it again; guests, records and claims must be as before."""
    qemu, before = guest.qemu_pid(t.running), t.agent.servers()
    stats = t.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics")
    token = t.agent.token()
    end()
    check(qemu and guest.qemu_pid(t.running) == qemu, "the guest ended with the agent")
    t.agent.start()
    t.agent.wait_idle()
    equal(t.statuses(), AS_LEFT, "states after the restart")
    equal(guest.qemu_pid(t.running), qemu, "QEMU's process")
    equal(t.agent.servers(), before, "records")
    equal(t.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics"), stats, "claims")
    equal(t.agent.token(), token, "token")
    equal([a["action"] for a in t.agent.actions(t.stopped)], ["stop", "create"], "events: none was added")


def RestartByOrderLeavesGuestsAlone(t):
    restarted(t, lambda: equal(t.agent.stop(), 0, "exit status"))


def RestartByForceLeavesGuestsAlone(t):
    restarted(t, t.agent.kill)


def RestartAlsoWorksFromAnInterrupt(t):
    def interrupt():
        t.agent.process.send_signal(signal.SIGHUP)  # no reason to end
        t.agent.process.send_signal(signal.SIGINT)
        equal(t.agent.process.wait(30), 0, "exit status")
    restarted(t, interrupt)


def WhatHappenedWhileTheAgentWasAwayIsSeenAtItsStart(t):
    t.agent.kill()
    virsh("destroy", t.running)
    virsh("start", t.stopped)
    t.agent.start()
    t.agent.wait_status(t.running, "SHUTOFF", 20)
    wait_for("the stopped server to be stopped again", lambda: domains()[t.stopped] == "shut off", 30)
    t.agent.wait_status(t.stopped, "SHUTOFF", 10)
    t.agent.ctl("server", "start", "--wait", "running")
    equal(t.statuses(), AS_LEFT, "states")


def StoppedServerStartedByVirshIsStoppedAgain(t):
    virsh("start", t.stopped)
    wait_for("the agent to stop it", lambda: domains()[t.stopped] == "shut off", 30)
    t.agent.wait_status(t.stopped, "SHUTOFF", 10)
    equal(t.agent.actions(t.stopped)[0]["action"], "stop", "the order it gave")


def DomainsOfOthersAreLeftAlone(t):
    other = "7d2c1a52-7a0b-4d3c-9a86-0f1b2c3d4e5f"
    xml = t.scratch / "other.xml"
    xml.write_text(f"<domain type='qemu'><name>somebody-elses</name><uuid>{other}</uuid><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>")
    virsh("define", str(xml))
    virsh("start", other)
    equal(t.agent.stop(), 0, "exit status")
    t.agent.start()
    t.agent.wait_idle()
    equal((domains()[other], t.statuses()), ("running", AS_LEFT), "somebody else's domain, and ours")
    virsh("destroy", other)
    virsh("undefine", other)


# --- uploads that are cut off

def cut_upload(t, image, announced, sent):
    """Sends the beginning of an upload and gives the open connection."""
    connection = socket.create_connection(("127.0.0.1", PORT), timeout=30)
    connection.sendall((f"PUT {IMAGE}/{image}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {t.agent.token()}\r\nContent-Type: application/octet-stream\r\n"
                        f"Content-Length: {announced}\r\n\r\n").encode() + b"\0" * sent)
    return connection


def stored():
    return [p.name for p in (DATA / "images").iterdir()]


def status_of(t, image):
    return t.agent.ok("GET", f"{IMAGE}/{image}")["status"]


def UploadCutOffByTheClientLeavesNothingAndCanBeSentAgain(t):
    before = stored()
    image = t.agent.ok("POST", IMAGE, {"name": "cut", "disk_format": "raw", "container_format": "bare"})["id"]
    connection = cut_upload(t, image, 8 << 20, 3 << 20)
    wait_for("the upload to begin", lambda: status_of(t, image) == "saving", 10)
    status, answer = t.agent.upload(image, b"\0" * 512)
    equal(status, 409, f"a second upload meanwhile: {answer}")
    equal(status_of(t, image), "saving", "the first one goes on")
    connection.close()
    wait_for("the image to be queued again", lambda: status_of(t, image) == "queued", 30)
    wait_for("its part to be removed", lambda: stored() == before, 10)
    equal(t.agent.upload(image, b"\0" * (1 << 20))[0], 204, "sent again")
    equal(status_of(t, image), "active", "status")
    t.agent.ok("DELETE", f"{IMAGE}/{image}")
    equal(stored(), before, "the store")


def ImageDeletedDuringItsUploadLeavesNoData(t):
    before = stored()
    image = t.agent.ok("POST", IMAGE, {"name": "doomed", "disk_format": "raw", "container_format": "bare"})["id"]
    with cut_upload(t, image, 2 << 20, 1 << 20) as connection:
        wait_for("the upload to begin", lambda: status_of(t, image) == "saving", 10)
        t.agent.ok("DELETE", f"{IMAGE}/{image}")
        connection.sendall(b"\0" * (1 << 20))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        equal(answer.status, 404, "status of the upload")
    equal(stored(), before, "the store")


def UploadCutOffByADeathOfTheAgentLeavesNothing(t):
    before = stored()
    image = t.agent.ok("POST", IMAGE, {"name": "cut2", "disk_format": "raw", "container_format": "bare"})["id"]
    with cut_upload(t, image, 8 << 20, 3 << 20):
        wait_for("the upload to begin", lambda: status_of(t, image) == "saving", 10)
        wait_for("its beginning to be written", lambda: any(p.stat().st_size >= 1 << 20 for p in (DATA / "images").glob("*.part")), 10)
        t.agent.kill()
    check(len(stored()) == len(before) + 1, "the part is there while nobody has cleaned up")
    t.agent.start()
    equal((status_of(t, image), stored()), ("queued", before), "image and store after the restart")
    equal(t.agent.upload(image, b"\0" * (1 << 20))[0], 204, "sent again")
    t.agent.ok("DELETE", f"{IMAGE}/{image}")


def UploadUnderWayDoesNotKeepTheAgentFromEnding(t):
    before = stored()
    image = t.agent.ok("POST", IMAGE, {"name": "cut3", "disk_format": "raw", "container_format": "bare"})["id"]
    with cut_upload(t, image, 8 << 20, 1 << 20):
        wait_for("the upload to begin", lambda: status_of(t, image) == "saving", 10)
        equal(t.agent.stop(20), 0, "exit status")
    t.agent.start()
    equal((status_of(t, image), stored()), ("queued", before), "image and store after the restart")
    t.agent.ok("DELETE", f"{IMAGE}/{image}")


# --- one agent at a time

def SecondAgentOnTheSameDataIsRefusedClearly(t):
    second = Agent(t.scratch / "second", api__port=PORT + 1)
    second.start(wait=False)
    equal(second.wait_death(20), 1, "exit status")
    says(second.new_log(), f"cannot open the store {DATA}/agent.db", "is another agent running with the same data_path?")
    equal(t.statuses(), AS_LEFT, "the first one serves on")
    check(t.agent.alive(), "the first one ended")


def TokenFileThatOthersCanReadIsRefused(t):
    equal(t.agent.stop(), 0, "exit status")
    token = DATA / "token"
    equal((token.stat().st_mode & 0o777, DATA.stat().st_mode & 0o777), (0o600, 0o700), "modes of the token and its directory")
    token.chmod(0o644)
    t.agent.start(wait=False)
    equal(t.agent.wait_death(20), 1, "exit status")
    says(t.agent.new_log(), f"token file {token} can be read by others (mode 644)", f"chmod 0600 {token}")
    token.chmod(0o600)
    t.agent.start()


def RecordsOfANewerAgentAreRefused(t):
    equal(t.agent.stop(), 0, "exit status")
    database = str(DATA / "agent.db")
    version = int(sql(database, "pragma user_version"))
    sql(database, f"pragma user_version = {version + 1}")
    t.agent.start(wait=False)
    equal(t.agent.wait_death(20), 1, "exit status")
    says(t.agent.new_log(), database, "newer")
    sql(database, f"pragma user_version = {version}")
    t.agent.start()
    equal(t.statuses(), AS_LEFT, "states")


def sql(database, statement):
    with sqlite3.connect(database) as connection:
        row = connection.execute(statement).fetchone()
    connection.close()
    return row[0] if row else None


def NothingIsLeftInTheEnd(t):
    t.agent.ctl("server", "delete", "--wait", "running", "stopped")
    equal((t.agent.servers(), domains(), taps()), ([], {}, []), "servers, domains, taps")
    t.agent.ctl("network", "delete", "net1")
    equal(virsh("net-list", "--all", "--name").stdout.split(), [], "networks")
    equal(t.agent.stop(), 0, "exit status")


# The restarts come first: they compare the events of "stopped", of which later cases order more.
CASES = [RestartByOrderLeavesGuestsAlone, RestartByForceLeavesGuestsAlone, RestartAlsoWorksFromAnInterrupt,
         WhatHappenedWhileTheAgentWasAwayIsSeenAtItsStart, StoppedServerStartedByVirshIsStoppedAgain, DomainsOfOthersAreLeftAlone,
         UploadCutOffByTheClientLeavesNothingAndCanBeSentAgain, ImageDeletedDuringItsUploadLeavesNoData, UploadCutOffByADeathOfTheAgentLeavesNothing,
         UploadUnderWayDoesNotKeepTheAgentFromEnding, SecondAgentOnTheSameDataIsRefusedClearly, TokenFileThatOthersCanReadIsRefused,
         RecordsOfANewerAgentAreRefused, NothingIsLeftInTheEnd]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        restart = Restart(scratch)
        restart.prepare()
        tap.run(CASES, restart)
