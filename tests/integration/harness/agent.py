"""One agent under test. Runs inside the lab (own-libvirt), where /var/lib/nova and /var/lib/compute-agent are the test's own."""
import hashlib
import http.client
import json
import os
import signal
import subprocess
import time
import uuid as uuids
from pathlib import Path

BUILD = Path(os.environ["BUILD_ROOT"])
DATA = Path("/var/lib/compute-agent")
INSTANCES = Path("/var/lib/nova/instances")
PORT = 8774


class Failed(Exception):
    pass


def wait_for(what, condition, seconds=60, interval=0.02):
    """Waits until condition() gives something true, and returns it; the test fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} s for: {what}")
        time.sleep(interval)


class Agent:
    def __init__(self, scratch, **options):
        """options: "section.name" with dots as __ (libvirt__virt_type="qemu") go into the configuration."""
        self.scratch = Path(scratch)
        self.scratch.mkdir(exist_ok=True)
        self.config = self.scratch / "agent.conf"
        self.log = self.scratch / "agent.log"
        self.process = None
        sections = {"DEFAULT": {"host": "lab", "shutdown_timeout": "5"}, "libvirt": {"virt_type": os.environ.get("TEST_VIRT_TYPE", "auto")}}
        for name, value in options.items():
            section, option = name.split("__", 1) if "__" in name else ("DEFAULT", name)
            sections.setdefault(section, {})[option] = str(value)
        self.config.write_text("".join(f"[{s}]\n" + "".join(f"{n} = {v}\n" for n, v in o.items()) for s, o in sections.items()))

    # --- the process
    def start(self, fault="", wait=True, wrapper=()):
        env = {**os.environ}
        env.pop("COMPUTE_AGENT_FAULT", None)
        if fault:
            env["COMPUTE_AGENT_FAULT"] = fault
        self.log_from = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*wrapper, str(BUILD / "agent/compute-agent"), "--config-file", str(self.config)], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, env=env)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        wait_for("the agent to be ready", lambda: self.alive() and " ready\n" in self.new_log() or not self.alive(), seconds)
        if not self.alive():
            raise Failed("the agent ended at start:\n" + self.new_log())

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def new_log(self):
        """The log since the last start()."""
        with open(self.log, "rb") as log:
            log.seek(self.log_from)
            return log.read().decode(errors="replace")

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=90):
        """SIGTERM, and the exit status."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def wait_death(self, seconds=60):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"the agent was to die by itself and lives after {seconds} s")

    # --- REST
    def call(self, method, path, body=None, token=None, headers=None, raw=None, timeout=60):
        """(status, decoded JSON or None). `raw` is sent as it is."""
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
        try:
            connection.request(method, path, body=data, headers={"X-Auth-Token": token if token is not None else self.token(),
                                                                 "Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, (json.loads(text) if text else None)
        finally:
            connection.close()

    def ok(self, method, path, body=None, **more):
        status, answer = self.call(method, path, body, **more)
        if status >= 300:
            raise Failed(f"{method} {path}: {status} {json.dumps(answer)}")
        return answer

    def token(self):
        return (DATA / "token").read_text().strip()

    def ctl(self, *args, check=True, env=None):
        done = subprocess.run([str(BUILD / "agent/ctl/computectl"), *args], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})})
        if check and done.returncode != 0:
            raise Failed(f"computectl {' '.join(args)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done

    # --- things to work with
    def image(self, path, disk_format="qcow2", name="image", **properties):
        image = self.ok("POST", "/image/v2/images", {"name": name, "disk_format": disk_format, "container_format": "bare", **properties})
        status, answer = self.upload(image["id"], Path(path).read_bytes())
        if status != 204:
            raise Failed(f"upload of {path}: {status} {answer}")
        return image["id"]

    def upload(self, image_id, data):
        return self.call("PUT", f"/image/v2/images/{image_id}/file", raw=data, headers={"Content-Type": "application/octet-stream"})

    def flavor(self, name="tiny", ram=64, vcpus=1, disk=1):
        return self.ok("POST", "/compute/v2.1/flavors", {"flavor": {"name": name, "ram": ram, "vcpus": vcpus, "disk": disk}})["flavor"]["id"]

    def network(self, name="net", cidr="10.77.1.0/24", kind="isolated"):
        network = self.ok("POST", "/network/v2.0/networks", {"network": {"name": name, "provider:network_type": kind}})["network"]["id"]
        self.ok("POST", "/network/v2.0/subnets", {"subnet": {"network_id": network, "cidr": cidr, "ip_version": 4}})
        return network

    def create(self, name, image, flavor, networks=(), **more):
        body = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": n} for n in networks] or "none", **more}
        return self.ok("POST", "/compute/v2.1/servers", {"server": body})["server"]["id"]

    def server(self, uuid):
        """The server object; None when there is no such server."""
        status, answer = self.call("GET", f"/compute/v2.1/servers/{uuid}")
        if status == 404:
            return None
        return answer["server"]

    def servers(self):
        return self.ok("GET", "/compute/v2.1/servers/detail")["servers"]

    def wait_status(self, uuid, status, seconds=60):
        """Waits for the status with no task left; ERROR ends the wait with the fault unless it is what is waited for."""
        def look():
            server = self.server(uuid)
            if status == "DELETED":
                return server is None
            if server is None:
                raise Failed(f"server {uuid} is gone; {status} was expected")
            if server["status"] == "ERROR" and status != "ERROR" and server["OS-EXT-STS:task_state"] is None:
                raise Failed(f"server {uuid} is in ERROR: {json.dumps(server.get('fault'))}")
            return server if server["status"] == status and server["OS-EXT-STS:task_state"] is None else None
        return wait_for(f"server {uuid} to be {status}", look, seconds)

    def action(self, uuid, body):
        return self.call("POST", f"/compute/v2.1/servers/{uuid}/action", body)

    def actions(self, uuid):
        """Server actions, newest first, each with its events."""
        listed = self.ok("GET", f"/compute/v2.1/servers/{uuid}/os-instance-actions")["instanceActions"]
        return [self.ok("GET", f"/compute/v2.1/servers/{uuid}/os-instance-actions/{a['request_id']}")["instanceAction"] for a in listed]

    # --- the bus
    @staticmethod
    def envelope(method, args, unique_id=None, call=False, **more):
        inner = {"method": method, "args": args, "version": "6.0", "_unique_id": unique_id or uuids.uuid4().hex, **more}
        if call:
            inner.update(_msg_id=uuids.uuid4().hex, _reply_q="reply_test", _timeout=30)
        return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)}).encode()

    def send(self, raw):
        """Puts a raw message on the bus. (status, answer); of a call the answer is the reply's inner message."""
        status, answer = self.call("POST", "/agent/v1/messages", raw=raw)
        if answer and "oslo.message" in answer:
            answer = json.loads(answer["oslo.message"])
        return status, answer

    def wait_idle(self, seconds=60):
        wait_for("no open operation", lambda: self.ok("GET", "/agent/v1/status")["operations"]["open"] == 0, seconds)

    # --- the host
    def leftovers(self, uuid):
        """Everything on the host that still belongs to a server that is gone (or never was): must be empty."""
        found = []
        if virsh("domstate", uuid, check=False).returncode == 0:
            found.append(f"domain {uuid}")
        found += [str(p) for p in INSTANCES.glob(f"{uuid}*")]
        known_taps = {f"tap{p['id'][:11]}" for p in self.ok("GET", "/network/v2.0/ports")["ports"]}
        found += [tap for tap in taps() if tap not in known_taps]
        found += [f"port {p['id']}" for p in self.ok("GET", f"/network/v2.0/ports?device_id={uuid}")["ports"]]
        return found


def sha1(text):
    return hashlib.sha1(text.encode()).hexdigest()


def virsh(*args, check=True):
    done = subprocess.run(["virsh", "-q", "-c", "qemu:///system", *args], capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise Failed(f"virsh {' '.join(args)}: {done.stderr}")
    return done


def taps():
    return [name for name in os.listdir("/sys/class/net") if name.startswith("tap")]


def domains():
    """uuid -> state of every domain that libvirt knows."""
    uuids_listed = virsh("list", "--all", "--uuid").stdout.split()
    return {u: virsh("domstate", u).stdout.strip() for u in uuids_listed}
