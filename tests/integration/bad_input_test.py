"""Bad input gets a clear answer and nothing is lost: malformed requests and messages, what does not fit, names, a full disk, a libvirtd
that goes away, a wrong configuration."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import uuid as uuids
from pathlib import Path

from harness import domain_xml, guest, iso, tap
from harness.agent import BUILD, DATA, INSTANCES, PORT, Agent, Failed, domains, sha1, taps, virsh, wait_for
from harness.check import check, equal, says

COMPUTE, IMAGE, NETWORK = "/compute/v2.1", "/image/v2", "/network/v2.0"
MIB = 1 << 20
AGENT = BUILD / "agent/compute-agent"
LAB = os.environ["LAB_CTL"]


class Bad:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.agent = Agent(scratch, cpu_allocation_ratio=16, shutdown_timeout=2)
        self.blank = self.scratch / "blank.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(self.blank), "16M"], check=True)
        self.blank_raw = self.scratch / "blank.raw"
        self.blank_raw.write_bytes(b"\0" * (16 * MIB))

    def prepare(self):
        self.agent.start()
        self.pid = self.agent.process.pid
        self.image = self.agent.image(self.blank, "qcow2", "blank")
        self.flavor = self.agent.flavor("tiny")
        self.network = self.agent.network("net1", "10.77.1.0/24")
        self.server = self.agent.create("steady", self.image, self.flavor, [self.network])
        self.agent.wait_status(self.server, "ACTIVE")

    def build_args(self, **changes):
        """Arguments of build_and_run_instance as the API would send them; changes go into instance, or, as image__x, into a part of it."""
        image = self.agent.ok("GET", f"{IMAGE}/images/{self.image}")
        instance = {"uuid": str(uuids.uuid4()), "name": "by-message", "hostname": "by-message", "project_id": "p", "user_id": "u",
                    "flavor": {"id": "f", "name": "f", "vcpus": 1, "memory_mib": 64, "root_gib": 1},
                    "image": {"id": self.image, "disk_format": "qcow2", "size_bytes": image["size"], "virtual_size_bytes": image["virtual_size"]}}
        for name, value in changes.items():
            if "__" in name:
                part, member = name.split("__")
                instance[part][member] = value
            else:
                instance[name] = value
        return {"instance": instance, "requested_networks": []}

    def call(self, method, args, **more):
        """(failure or None, result) of a message that is a call."""
        status, reply = self.agent.send(Agent.envelope(method, args, call=True, **more))
        equal(status, 200, f"status of call {method}: {reply}")
        return (json.loads(reply["failure"]) if reply["failure"] else None), reply["result"]

    def alive(self):
        """The same process still serves, and takes messages."""
        equal((self.agent.process.poll(), self.agent.process.pid), (None, self.pid), "the agent's process")
        failure, result = self.call("ping", {"arg": "still here"})
        equal((failure, result), (None, "still here"), "ping")
        equal(self.agent.server(self.server)["status"], "ACTIVE", "the server that has nothing to do with it")

    def nothing_of(self, uuid):
        equal(self.agent.leftovers(uuid), [], f"left over of {uuid}")
        check(not list(INSTANCES.rglob("*.part")), "temporary files were left")


def error_of(answer):
    """The one object that tells an error, of whichever service."""
    inner = answer if "message" in answer else next(iter(answer.values()))
    check(inner["message"] and inner["next_action"] and inner["agent_code"], f"an error says what and what to do: {answer}")
    return inner


def refused(t, status, method, path, *parts, **more):
    found, answer = t.agent.call(method, path, **more)
    equal(found, status, f"{method} {path}: {answer}")
    says(error_of(answer)["message"], *parts)


# --- REST

def MalformedBodiesAreRefused(t):
    for path in ("/compute/v2.1/servers", "/compute/v2.1/flavors", "/compute/v2.1/os-keypairs", "/image/v2/images", "/network/v2.0/networks", "/network/v2.0/subnets",
                 f"/compute/v2.1/servers/{t.server}/action"):
        for raw in (b"", b"{", b"nonsense", b"\x00\xff\xfe", b'{"server": ' + b"[" * 100000, b'{"a": "\xff\xff"}', b'{"a": 1e999}', b"[" * 50 + b"]" * 50):
            status, answer = t.agent.call("POST", path, raw=raw)
            equal(status, 400, f"POST {path} of {raw[:40]!r}: {answer}")
            error_of(answer)
        for body in ([], 5, "text", None, {}, {"server": 5, "flavor": [], "keypair": None, "network": "x", "subnet": 1, "name": {}, "reboot": 3}):
            status, answer = t.agent.call("POST", path, raw=json.dumps(body).encode())
            if body == {} and path == "/image/v2/images":
                continue  # every member of an image is optional
            equal(status, 400, f"POST {path} of {body!r}: {answer}")
            error_of(answer)
    t.alive()


def WrongTypesAndMissingFieldsAreNamed(t):
    server = {"name": "x", "imageRef": t.image, "flavorRef": t.flavor, "networks": "none"}
    for change, part in (({"name": 5}, "name"), ({"name": ""}, "name"), ({"name": "x" * 256}, "name"), ({"imageRef": 7}, "imageRef"), ({"networks": 3}, "networks"),
                         ({"metadata": {"k": 1}}, "metadata"), ({"colour": "red"}, "colour"), ({"min_count": "many"}, "min_count"), ({"user_data": "%%%"}, "user_data"),
                         ({"hostname": "a b"}, "hostname"), ({"name": "a\nb"}, "name"), ({"name": "a\0b"}, "name"), ({"max_count": 10 ** 30}, "max_count"),
                         ({"min_count": 101, "max_count": 101}, "min_count"), ({"key_name": "nokey"}, "key_name"), ({"availability_zone": "mars"}, "zone"),
                         ({"host": "other"}, "other"), ({"block_device_mapping_v2": [{"boot_index": 0}]}, "block_device_mapping_v2")):
        refused(t, 400, "POST", f"{COMPUTE}/servers", part, body={"server": {**server, **change}})
    for missing in ("name", "flavorRef"):
        refused(t, 400, "POST", f"{COMPUTE}/servers", missing, body={"server": {k: v for k, v in server.items() if k != missing}})
    for change, part in (({"ram": "lots"}, "ram"), ({"ram": 0}, "ram"), ({"ram": -1}, "ram"), ({"vcpus": 1.5}, "vcpus"), ({"disk": 10 ** 12}, "disk"), ({"vcpus": None}, "vcpus"),
                         ({"ram": "99999999999999999999"}, "ram"), ({"name": " x"}, "name"), ({"id": "a/b"}, "id"), ({"id": {}}, "id"), ({"swap": 10 ** 30}, "swap")):
        refused(t, 400, "POST", f"{COMPUTE}/flavors", part, body={"flavor": {"name": "x", "ram": 64, "vcpus": 1, "disk": 1, **change}})
    for change, part in (({"cidr": "10.1.0.0"}, "10.1.0.0"), ({"cidr": "10.1.0.0/33"}, "33"), ({"network_id": "x"}, "network_id"), ({"gateway_ip": "10.9.0.1"}, "10.9.0.1"),
                         ({"allocation_pools": [{"start": "10.1.0.9", "end": "10.1.0.2"}]}, "10.1.0.9"), ({"ip_version": 5}, "ip_version")):
        refused(t, 400, "POST", f"{NETWORK}/subnets", part, body={"subnet": {"network_id": t.network, "cidr": "10.1.0.0/24", "ip_version": 4, **change}})
    refused(t, 400, "POST", f"{COMPUTE}/os-keypairs", "Keypair data is invalid", body={"keypair": {"name": "k", "public_key": "ssh-ed25519 AAAA"}})
    refused(t, 400, "POST", f"{COMPUTE}/os-keypairs", "name", body={"keypair": {"name": "k;l", "public_key": guest.KEY}})
    refused(t, 400, "POST", f"{IMAGE}/images", "disk_format", body={"name": "i", "disk_format": "tape"})
    refused(t, 400, "POST", f"{IMAGE}/images", "id", body={"name": "i", "id": "../../etc/passwd"})
    refused(t, 400, "POST", f"{NETWORK}/networks", "physical_network", body={"network": {"name": "n", "provider:network_type": "bridge"}})
    refused(t, 400, "POST", f"{NETWORK}/networks", "physical_network",
            body={"network": {"name": "n", "provider:network_type": "bridge", "provider:physical_network": "../x"}})
    refused(t, 400, "POST", f"{COMPUTE}/servers/{t.server}/action", "", body={"explode": None})
    refused(t, 400, "POST", f"{COMPUTE}/servers/{t.server}/action", "type", body={"reboot": {"type": "GENTLE"}})
    refused(t, 400, "GET", f"{COMPUTE}/servers?limit=many", "limit 'many'")
    refused(t, 400, "GET", f"{COMPUTE}/servers?marker=none", "marker [none] not found")
    equal([s["name"] for s in t.agent.servers()], ["steady"], "servers: none of these was made")


def UnknownPathsAndMethodsAreAnsweredAsSuch(t):
    refused(t, 404, "GET", f"{COMPUTE}/nothing", "there is no such resource")
    refused(t, 404, "GET", "/", "there is no such resource")
    refused(t, 405, "PUT", f"{COMPUTE}/servers", "PUT is not allowed on /compute/v2.1/servers")
    refused(t, 404, "GET", f"{COMPUTE}/servers/{uuids.uuid4()}", "could not be found")
    refused(t, 404, "POST", f"{COMPUTE}/servers/..%2f..%2fetc/action", "", body={"os-start": None})
    refused(t, 413, "GET", f"{COMPUTE}/servers/" + "x" * 5000, "too long")
    refused(t, 400, "GET", f"{COMPUTE}/servers?limit=%zz", "the request can't be read")
    equal(t.agent.call("GET", f"{COMPUTE}/servers/%zz")[0], 400, "status of a path that cannot be decoded")
    t.alive()


def TenMebibytesOfJunkAreRefusedByEveryDoor(t):
    junk = os.urandom(10 * MIB)
    for path in (f"{COMPUTE}/servers", f"{IMAGE}/images", "/agent/v1/messages"):
        for chunked in (False, True):
            # The answer may come while the body is still being sent: it is read all the same.
            with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {t.agent.token()}\r\nContent-Type: application/json\r\n"
                head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {len(junk)}\r\n\r\n"
                try:
                    connection.sendall(head.encode())
                    for at in range(0, len(junk), MIB):
                        piece = junk[at:at + MIB]
                        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                    if chunked:
                        connection.sendall(b"0\r\n\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    pass
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                equal(answer.status, 413, f"POST {path} of 10 MiB{', chunked' if chunked else ''}")
    t.alive()
    rss = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{t.pid}/status").read_text()).group(1))
    check(rss < 300 * 1024, f"the agent's memory grew to {rss} KiB")


# --- messages

def BrokenMessagesAreDroppedAndNeverBlockTheQueue(t):
    inner = lambda **members: json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(members)}).encode()
    good = {"method": "ping", "args": {}, "_unique_id": uuids.uuid4().hex}
    cases = {b"": "no envelope", b"junk": "no envelope", b"\x00\x01\xff": "no envelope", b"[]": "oslo.version is missing", b"{}": "oslo.version is missing",
             b'{"oslo.version": "3.0", "oslo.message": "{}"}': "oslo.version is missing or another", b'{"oslo.version": "2.0", "oslo.message": "{"}': "oslo.message of an envelope is broken",
             b'{"oslo.version": "2.0", "oslo.message": "[]"}': "not an object", b'{"oslo.version": "2.0"}': "broken",
             inner(**{**good, "method": "explode"}): "unknown method 'explode'", inner(**{**good, "method": "../../x"}): "malformed", inner(**{**good, "method": 5}): "malformed",
             inner(**{**good, "args": []}): "malformed", inner(method="ping", args={}): "malformed", inner(**{**good, "_unique_id": "x"}): "malformed",
             inner(**{**good, "method": "envelope"}): "unknown method 'envelope'"}
    for raw, reason in cases.items():
        before = len(t.agent.new_log())
        status, answer = t.agent.send(raw)
        equal(status, 202, f"message {raw[:60]!r}: {answer}")
        wait_for(f"'{reason}' in the log for {raw[:80]!r}", lambda: re.search(f"dropped: .*{re.escape(reason)}", t.agent.new_log()[before:]), 10)
    t.alive()


def CallsWithWrongArgumentsGetAnErrorReply(t):
    failure, _ = t.call("explode", {})
    says(failure["message"], "unknown method 'explode'")
    check(failure["kwargs"]["next_action"], f"what to do is not said: {failure}")
    args = t.build_args()
    wrong = {"instance: 5": {"instance": 5}, "nothing": {}, "a member too many": {**args, "colour": "red"},
             "no uuid": {"instance": {k: v for k, v in args["instance"].items() if k != "uuid"}}, "uuid": t.build_args(uuid="not-a-uuid"),
             "uuid as path": t.build_args(uuid="../../../../etc/0000-0000-000000000"), "vcpus": t.build_args(flavor__vcpus=0), "memory": t.build_args(flavor__memory_mib="64"),
             "hostname": t.build_args(hostname="a b; reboot"), "format": t.build_args(image__disk_format="qed"), "networks": {**args, "requested_networks": [{"fixed_ip": "10.0.0.1"}]},
             "image id": t.build_args(image__id="../x"), "huge": t.build_args(flavor__root_gib=10 ** 30)}
    for what, arguments in wrong.items():
        failure, _ = t.call("build_and_run_instance", arguments)
        check(failure and "build_and_run_instance" in failure["message"], f"{what}: {failure}")
        says(failure["message"], "arguments of 'build_and_run_instance' are wrong")
    for method in ("terminate_instance", "start_instance", "stop_instance"):
        failure, _ = t.call(method, {"instance": {"uuid": str(uuids.uuid4())}})
        equal(failure["class"], "InstanceNotFound", f"{method} of nothing")
        failure, _ = t.call(method, {})
        says(failure["message"], f"arguments of '{method}' are wrong")
    failure, _ = t.call("reboot_instance", {"instance": {"uuid": t.server}, "reboot_type": "SIDEWAYS"})
    says(failure["message"], "reboot_type")
    failure, _ = t.call("start_instance", {"instance": {"uuid": t.server}})
    equal((failure["class"], "vm_state active" in failure["message"]), ("InstanceInvalidState", True), "start of a running server")
    equal(len(t.agent.servers()), 1, "servers")
    t.alive()


def DuplicateMessageIsDoneOnce(t):
    args = t.build_args(name="once")
    uuid = args["instance"]["uuid"]
    message = Agent.envelope("build_and_run_instance", args, unique_id="d" * 32)
    for _ in range(3):
        equal(t.agent.send(message)[0], 202, "status")
    t.agent.wait_status(uuid, "ACTIVE")
    t.agent.wait_idle()
    equal(t.agent.new_log().count(f"message {'d' * 32} (build_and_run_instance) is a duplicate; dropped"), 2, "duplicates that were dropped")
    equal([a["action"] for a in t.agent.actions(uuid)], ["create"], "actions")
    # Another message of the same id is another thing: the id is known.
    failure, _ = t.call("build_and_run_instance", args)
    says(failure["message"], f"Instance {uuid} exists already")
    check(failure["kwargs"]["next_action"], "what to do is not said")
    server = t.agent.server(uuid)
    equal((server["status"], server["name"]), ("ACTIVE", "once"), "the first one")
    stop = Agent.envelope("terminate_instance", {"instance": {"uuid": uuid}}, unique_id="e" * 32)
    for _ in range(2):
        t.agent.send(stop)
    t.agent.wait_status(uuid, "DELETED")
    t.agent.wait_idle()
    t.nothing_of(uuid)


# --- what does not fit

def UnknownImageFlavorAndNetworkAreNamed(t):
    nobody = str(uuids.uuid4())
    body = {"name": "x", "imageRef": t.image, "flavorRef": t.flavor, "networks": "none"}
    refused(t, 400, "POST", f"{COMPUTE}/servers", f"Image {nobody} could not be found", body={"server": {**body, "imageRef": nobody}})
    refused(t, 400, "POST", f"{COMPUTE}/servers", f"Flavor {nobody} could not be found", body={"server": {**body, "flavorRef": nobody}})
    refused(t, 400, "POST", f"{COMPUTE}/servers", f"Network {nobody} could not be found", body={"server": {**body, "networks": [{"uuid": nobody}]}})
    refused(t, 404, "POST", f"{NETWORK}/subnets", f"Network {nobody} could not be found", body={"subnet": {"network_id": nobody, "cidr": "10.5.0.0/24", "ip_version": 4}})
    for what, args in (("image", t.build_args(image__id=nobody)), ("network", {**t.build_args(), "requested_networks": [{"network_id": nobody}]}),
                       ("port", {**t.build_args(), "requested_networks": [{"port_id": nobody}]})):
        failed_build(t, args, nobody)


def failed_build(t, args, *parts):
    """A build by message that must fail: reply, fault, and nothing left but the record, which a delete removes."""
    uuid = args["instance"]["uuid"]
    failure, _ = t.call("build_and_run_instance", args)
    check(failure, "the build was to fail")
    says(failure["message"], *parts)
    check(failure["kwargs"]["next_action"], f"what to do is not said: {failure}")
    server = t.agent.server(uuid)
    if server is not None:  # accepted, and failed at a step
        equal((server["status"], server["OS-EXT-STS:task_state"]), ("ERROR", None), "state")
        says(server["fault"]["message"] + " ".join(server["fault"]["causes"]), *parts)
        check(server["fault"]["step"].startswith("build_and_run_instance/") and server["fault"]["next_action"], f"{server['fault']}")
        t.nothing_of(uuid)
        t.agent.ok("DELETE", f"{COMPUTE}/servers/{uuid}")
        t.agent.wait_status(uuid, "DELETED")
    t.nothing_of(uuid)
    return failure


def FlavorTooBigForTheHostIsRefusedWithTheNumbers(t):
    stats = t.agent.ok("GET", f"{COMPUTE}/os-hypervisors/statistics")["hypervisor_statistics"]
    failed_build(t, t.build_args(flavor__vcpus=900), "vCPUs: 900 CPUs asked for one instance", f"the host has {stats['vcpus']} CPUs")
    failed_build(t, t.build_args(flavor__memory_mib=60_000_000), "memory: 60000000 MiB asked", f"the host has {stats['memory_mb']} MiB")
    failed_build(t, t.build_args(flavor__root_gib=1_000_000), "disk: 1000000 GiB asked", f"the host has {stats['local_gb']} GiB")
    free = stats["memory_mb"] - stats["memory_mb_used"]
    failed_build(t, t.build_args(flavor__memory_mib=free + 1), f"memory: {free + 1} MiB asked, {free} MiB free of {stats['memory_mb']} MiB", "reserved 512 MiB")
    after = t.agent.ok("GET", f"{COMPUTE}/os-hypervisors/statistics")["hypervisor_statistics"]
    equal((after["vcpus_used"], after["memory_mb_used"], after["local_gb_used"]), (stats["vcpus_used"], stats["memory_mb_used"], stats["local_gb_used"]), "claims")


def ImageThatIsNotAsLargeAsItsRecordIsRefused(t):
    size = t.blank.stat().st_size
    (INSTANCES / "_base" / sha1(t.image)).rename(INSTANCES / "kept")  # as if nothing had used it yet
    for wrong in (size - 1, size + 1, 1, 1 << 40):
        failed_build(t, t.build_args(image__size_bytes=wrong, flavor__root_gib=0), f"its file is {size} bytes, but its record says {wrong}")
    for wrong in (8 * MIB, 32 * MIB):
        failed_build(t, t.build_args(image__virtual_size_bytes=wrong), f"its virtual size is {16 * MIB} bytes, but its record says {wrong}")
    failed_build(t, t.build_args(image__os_hash_algo="sha512", image__os_hash_value="0" * 128), "its content has sha512", "its record says 000")
    failed_build(t, t.build_args(image__disk_format="raw"), "qcow2")
    equal([p.name for p in (INSTANCES / "_base").iterdir()], [], "_base")
    (INSTANCES / "kept").rename(INSTANCES / "_base" / sha1(t.image))


def MinimumsOfTheImageAreKept(t):
    image = t.agent.image(t.blank, "qcow2", "demanding", min_disk=5, min_ram=128)
    body = {"name": "x", "imageRef": image, "networks": "none"}
    small, low = t.agent.flavor("small-disk", ram=256, disk=4), t.agent.flavor("low-memory", ram=127, disk=5)
    refused(t, 400, "POST", f"{COMPUTE}/servers", "Flavor's disk is smaller than the minimum", "4 GiB", "5 GiB", body={"server": {**body, "flavorRef": small}})
    refused(t, 400, "POST", f"{COMPUTE}/servers", "Flavor's memory is too small", "127 MiB", "128 MiB", body={"server": {**body, "flavorRef": low}})
    failed_build(t, t.build_args(image__id=image, image__min_disk_gib=5), "Flavor's disk is smaller than the minimum", "1 GiB", "5 GiB")
    failed_build(t, t.build_args(image__id=image, image__min_ram_mib=128), "Flavor's memory is too small", "64 MiB", "128 MiB")
    large = t.scratch / "large.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(large), "2G"], check=True)
    image = t.agent.image(large, "qcow2", "large")
    refused(t, 400, "POST", f"{COMPUTE}/servers", "Flavor's disk is too small for requested image", str(1 << 30), str(2 << 30), body={"server": {**body, "imageRef": image, "flavorRef": t.flavor}})
    failed_build(t, t.build_args(image__id=image, image__size_bytes=large.stat().st_size, image__virtual_size_bytes=0), str(1 << 30), str(2 << 30))


# --- names

HOSTILE = ["$(reboot)", "`reboot`", "'; DROP TABLE instances; --", '"><evil/>', "<!--", "]]>", "&amp;&#0;", "a\\b\\", "../../etc/passwd", "%s%n%x", "-rf", "--help", "🦆 дом 家",
           "null", "a,b\"c", "{\"x\": 1}"]


def HostileNamesSurviveEverywhereAsTheyAre(t):
    ids = {}
    for name in HOSTILE:
        ids[name] = t.agent.create(name, t.image, t.flavor, metadata={"note": name, name: "key"} if len(name) < 255 else {})
    for name, uuid in ids.items():
        server = t.agent.wait_status(uuid, "ACTIVE", 120)
        equal((server["name"], server["metadata"]["note"]), (name, name), "REST")
        xml = domain_xml.xml.fromstring(virsh("dumpxml", uuid).stdout)
        equal(xml.find(f".//{domain_xml.NOVA}name").text, name, "domain XML")
        check(xml.find(".//evil") is None and len(xml.findall("metadata/*")) == 1, "the name became an element")
        drive = iso.files(INSTANCES / uuid / "disk.config")
        meta = json.loads(drive["openstack/latest/meta_data.json"])
        equal((meta["name"], meta["meta"]["note"], meta["meta"].get(name)), (name, name, "key"), "config drive")
        check(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.novalocal", meta["hostname"]), f"host name of {name!r}: {meta['hostname']}")
        equal(json.loads((INSTANCES / uuid / "instance.json").read_text())["name"], name, "instance.json")
    listed = {row["ID"]: row["Name"] for row in json.loads(t.agent.ctl("server", "list", "-f", "json").stdout)}
    for name, uuid in ids.items():
        equal(listed[uuid], name, "server list")
        shown = t.agent.ctl("server", "show", "-f", "shell", "--", name) if not name.startswith("-") else t.agent.ctl("server", "show", "-f", "shell", uuid)
        evaluated = subprocess.run(["bash", "-c", shown.stdout + "\nprintf %s \"$name\""], capture_output=True, text=True, timeout=20)
        equal((evaluated.stdout, evaluated.stderr), (name, ""), "what a shell makes of server show -f shell")
    check(not Path("/tmp/pwned").exists() and Path("/etc/passwd").exists(), "something was run")
    t.agent.ctl("server", "delete", "--wait", *ids.values())
    for uuid in ids.values():
        t.nothing_of(uuid)
    network = t.agent.ok("POST", f"{NETWORK}/networks", {"network": {"name": '"><ip address="1.1.1.1"/>', "provider:network_type": "isolated"}})["network"]["id"]
    t.agent.ok("POST", f"{NETWORK}/subnets", {"subnet": {"network_id": network, "cidr": "10.77.9.0/24", "ip_version": 4}})
    uuid = t.agent.create("on-it", t.image, t.flavor, [network])
    t.agent.wait_status(uuid, "ACTIVE")
    check("1.1.1.1" not in virsh("net-dumpxml", network).stdout, "the network's name became XML")
    t.agent.ctl("server", "delete", "--wait", uuid)
    t.agent.ctl("network", "delete", network)


# --- a full disk

def mount_size(path, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)


def used_bytes(path):
    facts = os.statvfs(path)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def FullDiskWhileCopyingIsSaidWithItsNumbersAndLeavesNothing(t):
    for kind, path, disk_format in (("converted", guest.QCOW2, "qcow2"), ("copied", guest.RAW, "raw")):
        image = t.agent.image(path, disk_format, f"demo-{kind}")
        base = INSTANCES / "_base" / sha1(image)
        before = used_bytes(INSTANCES)
        mount_size(INSTANCES, before + 8 * MIB)
        uuid = t.agent.create(f"full-{kind}", image, t.flavor)
        server = t.agent.wait_status(uuid, "ERROR")
        text = " ".join([server["fault"]["message"], *server["fault"]["causes"]])
        says(text, f"no space left on the file system at {INSTANCES}", "MiB free", "inodes free", image)
        equal((server["fault"]["agent_code"], server["fault"]["step"]), ("NO_SPACE", "build_and_run_instance/fetch_image"), "fault")
        says(server["fault"]["next_action"], f"free space on {INSTANCES}")
        t.nothing_of(uuid)
        check(not base.exists() and used_bytes(INSTANCES) <= before, "what was copied is still there")
        # The disk itself, when only a little is left.
        mount_size(INSTANCES, "30g")
        again = t.agent.create(f"space-{kind}", image, t.flavor)
        t.agent.wait_status(again, "ACTIVE")
        mount_size(INSTANCES, used_bytes(INSTANCES) + 64 * 1024)
        third = t.agent.create(f"little-{kind}", image, t.flavor)
        fault = t.agent.wait_status(third, "ERROR")["fault"]
        says(" ".join([fault["message"], *fault["causes"]]), f"no space left on the file system at {INSTANCES}")
        t.nothing_of(third)
        mount_size(INSTANCES, "30g")
        t.agent.ctl("server", "delete", "--wait", uuid, again, third)
        base.unlink()
        t.agent.ctl("image", "delete", image)
    t.alive()


def FullDiskWhileUploadingLeavesTheImageQueued(t):
    store = DATA / "images"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(store)], check=True)
    try:
        image = t.agent.ok("POST", f"{IMAGE}/images", {"name": "too-much", "disk_format": "raw", "container_format": "bare"})["id"]
        status, answer = t.agent.upload(image, guest.RAW.read_bytes())
        check(status >= 400, f"the upload was to fail: {status}")
        says(error_of(answer)["message"], f"no space left on the file system at {store}", "of 8 MiB free")
        equal((t.agent.ok("GET", f"{IMAGE}/images/{image}")["status"], list(store.iterdir())), ("queued", []), "image and store")
        failed = t.agent.ctl("image", "create", "--disk-format", "raw", "--file", str(guest.RAW), "by-ctl", check=False)
        check(failed.returncode == 1 and f"no space left on the file system at {store}" in failed.stderr, f"computectl: {failed}")
        mount_size(store, "128m")
        equal(t.agent.upload(image, guest.RAW.read_bytes())[0], 204, "upload with space")
        t.agent.ctl("image", "delete", image)
    finally:
        subprocess.run(["umount", str(store)], check=True)
    t.alive()


# --- libvirtd goes away

def watch_steady(t, what):
    """What must not change while libvirt cannot be asked."""
    server = t.agent.server(t.server)
    equal((server["status"], server["OS-EXT-STS:power_state"], server["OS-EXT-STS:task_state"]), ("ACTIVE", 1, None), f"the running server {what}")


def LibvirtdKilledInTheMiddleChangesNoStateAndWorkGoesOnAfterwards(t):
    qemu = guest.qemu_pid(t.server)
    subprocess.run([LAB, "ctl", "kill"], check=True)
    wait_for("the agent to notice", lambda: "does not answer" in t.agent.new_log(), 20)
    built = t.agent.create("patient", t.image, t.flavor, [t.network])
    wait_for("the build to wait for libvirt", lambda: f"create of {built} waits" in t.agent.new_log(), 20)
    stopped = t.agent.create("never", t.image, t.flavor)
    t.agent.ok("DELETE", f"{COMPUTE}/servers/{stopped}")
    watch_steady(t, "while libvirtd is dead")
    equal(t.agent.server(built)["status"], "BUILD", "the build that waits")
    row = t.agent.ok("GET", f"{COMPUTE}/os-services")["services"][0]
    equal(row["status"], "disabled", "service")
    says(row["disabled_reason"], "libvirt")
    equal(t.agent.ok("GET", f"{COMPUTE}/os-hypervisors")["hypervisors"][0]["state"], "down", "hypervisor")
    subprocess.run([LAB, "ctl", "start"], check=True)
    t.agent.wait_status(built, "ACTIVE", 120)
    t.agent.wait_status(stopped, "DELETED", 60)
    watch_steady(t, "after libvirtd came back")
    equal(guest.qemu_pid(t.server), qemu, "its QEMU process")
    wait_for("the service to be enabled again", lambda: t.agent.ok("GET", f"{COMPUTE}/os-services")["services"][0]["status"] == "enabled", 20)
    t.agent.ctl("server", "delete", "--wait", built)
    t.nothing_of(built)
    t.nothing_of(stopped)
    t.alive()


def LibvirtdThatHangsChangesNoStateAndWorkGoesOnAfterwards(t):
    subprocess.run([LAB, "ctl", "pause"], check=True)
    try:
        built = t.agent.create("patient2", t.image, t.flavor, [t.network])
        status, answer = t.agent.action(t.server, {"os-stop": None})
        equal(status, 202, f"stop is accepted: {answer}")
        began = time.monotonic()
        equal(t.agent.server(t.server)["status"], "ACTIVE", "the running server")
        check(time.monotonic() - began < 1, "the API waits for libvirt")
        wait_for("the keepalive to end the connection", lambda: "keepalive" in t.agent.new_log(), 60)
        equal((t.agent.server(built)["status"], t.agent.server(t.server)["status"]), ("BUILD", "ACTIVE"), "states while libvirtd hangs")
    finally:
        subprocess.run([LAB, "ctl", "continue"], check=True)
    t.agent.wait_status(built, "ACTIVE", 120)
    t.agent.wait_status(t.server, "SHUTOFF", 60)
    t.agent.ctl("server", "start", "--wait", t.server)
    t.agent.ctl("server", "delete", "--wait", built)
    t.nothing_of(built)
    t.alive()


def LibvirtdStoppedWhileTheAgentStartsIsWaitedFor(t):
    equal(t.agent.stop(), 0, "exit status")
    subprocess.run([LAB, "ctl", "stop"], check=True)
    t.agent.start(wait=False)
    wait_for("the agent to say that libvirt is away", lambda: "does not answer" in t.agent.new_log() or "cannot connect to qemu:///system" in t.agent.new_log(), 20)
    watch_steady(t, "while libvirtd is stopped")
    subprocess.run([LAB, "ctl", "start"], check=True)
    t.agent.wait_ready()
    t.pid = t.agent.process.pid
    t.alive()


# --- configuration and start

def run_agent(*args, timeout=30):
    return subprocess.run([str(AGENT), *args], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def WrongConfigurationIsRefusedWithFileLineAndWhatIsAllowed(t):
    for text, parts in (("[DEFAULT]\nforce_raw_images = perhaps\n", [":2", "[DEFAULT] force_raw_images = 'perhaps'", "true"]),
                        ("[DEFAULT]\n\n\nmy_ip = 1.2.3\n", [":4", "my_ip", "an IPv4 or IPv6 address"]), ("[libvirt]\nvirt_type = xen\n", [":2", "virt_type", "auto, kvm, qemu"]),
                        ("[libvirt]\nimages_type = lvm\n", [":2", "default, qcow2, raw"]), ("[api]\nport = 99999\n", [":2", "port", "65535"]),
                        ("[DEFAULT]\ncpu_allocation_ratio = -1\n", [":2", "cpu_allocation_ratio"]), ("[DEFAULT]\ninstances_path = ../x\n", [":2", "an absolute path"]),
                        ("[DEFAULT]\nshutdown_timeout = soon\n", [":2", "shutdown_timeout"]), ("no section\n", [":1"]), ("[libvirt]\ncpu_mode = custom\n", ["cpu_models"]),
                        ("[DEFAULT\n", [":1"]), ("[DEFAULT]\nhost = \x01\n", [":2", "control character"]), ("[DEFAULT]\nhost = $nothing\n", [":2", "$nothing"])):
        path = t.scratch / "bad.conf"
        path.write_text(text)
        done = run_agent("--config-file", str(path))
        equal((done.returncode, done.stdout), (2, ""), f"agent with {text!r}: {done.stderr}")
        says(done.stderr, str(path), *parts)
    missing = run_agent("--config-file", "/nonexistent.conf")
    check(missing.returncode == 2 and "/nonexistent.conf" in missing.stderr, f"{missing}")
    unknown = run_agent("--frobnicate")
    check(unknown.returncode == 2 and "frobnicate" in unknown.stderr and "--help" in unknown.stderr, f"{unknown}")


def UnknownOptionIsAWarningWithTheNearestName(t):
    path = t.scratch / "typo.conf"
    path.write_text("[DEFAULT]\nhost = lab\nforce_raw_image = false\ncompute_driver = libvirt.LibvirtDriver\n[libvrit]\nvirt_type = kvm\n[neutron]\nurl = x\n")
    equal(run_agent("--config-file", str(path), "--print-config").returncode, 0, "print-config with a typo")
    other = Agent(t.scratch / "warned")
    other.config.write_text(path.read_text() + "[api]\nport = 8775\n[agent]\ndata_path = /var/lib/nova/warned\n")
    other.start(wait=False)
    wait_for("the warning", lambda: "option [DEFAULT] force_raw_image" in other.new_log(), 20)
    wait_for("it to serve", lambda: "serves host lab" in other.new_log(), 20)
    equal(other.stop(), 0, "exit status")
    log = other.new_log()
    says(log, f"{other.config}:3: option [DEFAULT] force_raw_image is not known: the nearest known name is 'force_raw_images'",
         "[DEFAULT] compute_driver is an option of nova that this agent does not use", "section [libvrit] is not known and is ignored; did you mean [libvirt]?")
    check("neutron" not in log, "sections of other services are no mistake")


def PrintedConfigurationIsReadBackTheSame(t):
    source = t.scratch / "source.conf"
    source.write_text("[DEFAULT]\nhost = lab\nstate_path = /var/lib/nova\nreserved_host_memory_mb = 77\ndefault_availability_zone = \"a zone\"\n[libvirt]\ndisk_cachemodes = file=writeback\n")
    first = run_agent("--config-file", str(source), "--set", "DEFAULT.debug=true", "--print-config")
    equal((first.returncode, first.stderr), (0, ""), "print-config")
    says(first.stdout, f"# {source}:4\nreserved_host_memory_mb = 77", "# command line\ndebug = true", "# default\n")
    again = t.scratch / "again.conf"
    again.write_text(first.stdout)
    second = run_agent("--config-file", str(again), "--print-config")
    equal((second.returncode, second.stderr), (0, ""), "print-config of what was printed")
    values = lambda text: [line for line in text.splitlines() if not line.startswith("#")]
    equal(values(second.stdout), values(first.stdout), "options")


def PortThatIsTakenIsSaidClearly(t):
    other = Agent(t.scratch / "second", agent__data_path="/var/lib/nova/second-agent")
    other.start(wait=False)
    equal(other.wait_death(20), 1, "exit status")
    says(other.new_log(), f"cannot listen on 127.0.0.1:{PORT}", "ss -ltnp", "[api] port")
    t.alive()


def SigtermLetsTheRunningStepEndAndTakesNoNewWork(t):
    equal(t.agent.stop(), 0, "exit status")
    slow = t.scratch / "slow-qemu-img"
    slow.write_text(f"#!/bin/sh\necho started >> {t.scratch}/slow.log\nsleep 3\nexec qemu-img \"$@\"\n")
    slow.chmod(0o755)
    t.agent = Agent(t.scratch, cpu_allocation_ratio=16, shutdown_timeout=2, agent__qemu_img=str(slow)).start()
    image = t.agent.image(t.blank, "qcow2", "slow")
    uuid = t.agent.create("drained", image, t.flavor)
    wait_for("qemu-img to run", lambda: (t.scratch / "slow.log").exists(), 20)
    t.agent.process.send_signal(signal.SIGTERM)
    wait_for("it to drain", lambda: "draining" in t.agent.new_log(), 10)
    wait_for("the listener to be closed", lambda: refuses_connections(), 10)
    check(t.agent.alive(), "it did not wait for the running step")
    equal(t.agent.process.wait(30), 0, "exit status")
    check((INSTANCES / "_base" / sha1(image)).exists(), "the running step was cut off")
    t.agent.start()
    t.pid = t.agent.process.pid
    t.agent.wait_status(uuid, "ACTIVE")
    equal((t.scratch / "slow.log").read_text().count("started"), 1, "conversions of the image")
    t.agent.ctl("server", "delete", "--wait", uuid)
    t.alive()


def refuses_connections():
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=2).close()
        return False
    except ConnectionRefusedError:
        return True


def NothingIsLeftInTheEnd(t):
    t.agent.ctl("server", "delete", "--wait", *[s["id"] for s in t.agent.servers()])
    equal((t.agent.servers(), domains(), taps()), ([], {}, []), "servers, domains, taps")
    equal({p.name for p in INSTANCES.iterdir()} - {"_base", "locks"}, set(), "instance directories")
    equal(t.agent.stop(), 0, "exit status")


CASES = [MalformedBodiesAreRefused, WrongTypesAndMissingFieldsAreNamed, UnknownPathsAndMethodsAreAnsweredAsSuch, TenMebibytesOfJunkAreRefusedByEveryDoor,
         BrokenMessagesAreDroppedAndNeverBlockTheQueue, CallsWithWrongArgumentsGetAnErrorReply, DuplicateMessageIsDoneOnce,
         UnknownImageFlavorAndNetworkAreNamed, FlavorTooBigForTheHostIsRefusedWithTheNumbers, ImageThatIsNotAsLargeAsItsRecordIsRefused,
         MinimumsOfTheImageAreKept, HostileNamesSurviveEverywhereAsTheyAre, FullDiskWhileCopyingIsSaidWithItsNumbersAndLeavesNothing,
         FullDiskWhileUploadingLeavesTheImageQueued, LibvirtdKilledInTheMiddleChangesNoStateAndWorkGoesOnAfterwards,
         LibvirtdThatHangsChangesNoStateAndWorkGoesOnAfterwards, LibvirtdStoppedWhileTheAgentStartsIsWaitedFor,
         WrongConfigurationIsRefusedWithFileLineAndWhatIsAllowed, UnknownOptionIsAWarningWithTheNearestName, PrintedConfigurationIsReadBackTheSame,
         PortThatIsTakenIsSaidClearly, SigtermLetsTheRunningStepEndAndTakesNoNewWork, NothingIsLeftInTheEnd]

if __name__ == "__main__":
    # A file system of its own that can be made full; its memory is used only where something is written.
    INSTANCES.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30g", "tmpfs", str(INSTANCES)], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        bad = Bad(scratch)
        bad.prepare()
        tap.run(CASES, bad)
