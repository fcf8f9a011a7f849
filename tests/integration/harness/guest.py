"""The demo guest, seen from the host: its image, its serial console, its address, its page."""
import http.client
import json
import os
import re
import subprocess
from pathlib import Path

from .agent import Failed, virsh, wait_for

IMAGES = Path(os.environ["COMPUTE_AGENT_DEMO_IMAGE"])
QCOW2 = IMAGES / "demo.qcow2"
RAW = IMAGES / "demo.raw"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICqXUWw1S2iEjNvY9UoiagpVsh7ROOIHrWxcu5wAqlrq demo@lab"
BOOT_SECONDS = 150  # on a loaded machine without KVM; a quiet one needs 6


def console(agent, uuid):
    status, answer = agent.action(uuid, {"os-getConsoleOutput": {}})
    if status != 200:
        raise Failed(f"console of {uuid}: {status} {json.dumps(answer)}")
    return answer["output"]


def wait_console(agent, uuid, pattern, seconds=BOOT_SECONDS):
    """The match of `pattern` on the guest's console, once it is there."""
    try:
        return wait_for(f"'{pattern}' on the console of {uuid}", lambda: re.search(pattern, console(agent, uuid)), seconds, interval=0.1)
    except Failed as failed:
        raise Failed(f"{failed}; its end: {console(agent, uuid)[-800:]!r}") from None


def wait_ready(agent, uuid):
    return wait_console(agent, uuid, r"demo: ready")


def boots(agent, uuid):
    """How often this disk was booted, as the guest counts it."""
    return int(wait_console(agent, uuid, r"demo: boots=(\d+)").group(1))


def address(server, network):
    found = [a["addr"] for a in server["addresses"].get(network, []) if a["version"] == 4]
    if len(found) != 1:
        raise Failed(f"one address on {network} was expected: {json.dumps(server['addresses'])}")
    return found[0]


def answers_ping(ip):
    return subprocess.run(["ping", "-c", "1", "-W", "2", ip], capture_output=True, timeout=20).returncode == 0


def page(ip):
    connection = http.client.HTTPConnection(ip, 80, timeout=20)
    try:
        connection.request("GET", "/cgi-bin/index.cgi")
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failed(f"the guest's page: status {answer.status}")
        return answer.read().decode()
    finally:
        connection.close()


def wait_page(ip):
    """Waits until the guest serves its page; by then it also listens to the power button."""
    def fetched():
        try:
            return page(ip)
        except OSError:
            return None
    return wait_for(f"the page of {ip}", fetched, BOOT_SECONDS, interval=0.1)


def end_reasons(domain):
    """How the domain's QEMU processes ended so far, oldest first: "shutdown" is the guest's own doing, "destroyed" the host's."""
    log = Path(f"/var/log/libvirt/qemu/{domain}.log")
    return re.findall(r"shutting down, reason=(\w+)", log.read_text(errors="replace")) if log.exists() else []


def qemu_pid(uuid):
    """Of the process that runs the domain; None when none does."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"qemu-system" in words[0] and uuid.encode() in words:
            return int(entry.name)
    return None


def state_reason(uuid):
    return virsh("domstate", "--reason", uuid).stdout.strip()
