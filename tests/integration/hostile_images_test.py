"""Hostile images are refused before any qemu-img sees them, by upload and by build; qemu-img itself runs bounded."""
import json
import os
import re
import struct
import subprocess
import tempfile
import uuid as uuids
from pathlib import Path

from harness import guest, tap
from harness.agent import DATA, INSTANCES, Agent, sha1
from harness.check import check, equal, says

MIB = 1 << 20
IMAGE = "/image/v2/images"


class Images:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.calls = self.scratch / "qemu-img.calls"
        self.calls.touch()
        self.wrapper = self.scratch / "qemu-img"
        self.wrapper.write_text(f"""#!/bin/bash
echo "cpu=$(ulimit -t) memory=$(ulimit -v) file=$(ulimit -f) core=$(ulimit -c) argv=$*" >> {self.calls}
exec /usr/bin/qemu-img "$@"
""")
        self.wrapper.chmod(0o755)
        self.agent = Agent(scratch, cpu_allocation_ratio=16, shutdown_timeout=2, agent__qemu_img=str(self.wrapper))

    def make(self, name, disk_format, *options, size="4M"):
        path = self.scratch / name
        path.unlink(missing_ok=True)
        subprocess.run(["/usr/bin/qemu-img", "create", "-q", "-f", disk_format, *options, str(path), size], check=True)
        return path.read_bytes()

    def filled(self, disk_format, *options):
        """An image in that format of 4 MiB with something in it."""
        raw, path = self.scratch / "content.raw", self.scratch / "content.image"
        raw.write_bytes(b"".join(bytes([n % 251]) * 4096 for n in range(1024)))
        subprocess.run(["/usr/bin/qemu-img", "convert", "-f", "raw", "-O", disk_format, *options, str(raw), str(path)], check=True)
        return path.read_bytes()

    def record(self, disk_format):
        return self.agent.ok("POST", IMAGE, {"name": f"some {disk_format}", "disk_format": disk_format, "container_format": "bare"})["id"]

    def refused(self, what, disk_format, data, *words):
        """Uploads; it must be refused as unsafe or invalid, and leave the image queued, an empty store and qemu-img alone."""
        image = self.record(disk_format)
        status, answer = self.agent.upload(image, data)
        check(status == 400, f"{what}: {status} {answer}")
        check(answer["agent_code"] in ("UNSAFE", "INVALID") and answer["next_action"], f"{what}: {answer}")
        says(answer["message"].lower(), f"image {image} is refused", *[w.lower() for w in words])
        equal((self.agent.ok("GET", f"{IMAGE}/{image}")["status"], [p.name for p in (DATA / "images").iterdir()]), ("queued", []), f"{what}: image and store")
        equal(self.calls.read_text(), "", f"{what}: calls of qemu-img")
        self.agent.ok("DELETE", f"{IMAGE}/{image}")
        return answer


def patched(data, offset, new):
    return data[:offset] + new + data[offset + len(new):]


def with_descriptor(vmdk, old, new):
    """The image with another text in its embedded descriptor, which keeps its place and room."""
    at, room = (512 * n for n in struct.unpack_from("<QQ", vmdk, 28))
    text = vmdk[at:at + room].rstrip(b"\0")
    check(old in text, f"{old} is not in the descriptor: {text}")
    return patched(vmdk, at, text.replace(old, new).ljust(room, b"\0"))


# --- uploads

def Qcow2WithABackingFileIsRefused(t):
    for backing in ("/etc/passwd", "nbd:127.0.0.1:1", 'json:{"driver":"file","filename":"/etc/shadow"}'):
        data = patched(t.make("b.qcow2", "qcow2"), 8, struct.pack(">QI", 1024, len(backing)))
        says(t.refused(f"backing file {backing}", "qcow2", patched(data, 1024, backing.encode()), "backing file")["agent_code"], "UNSAFE")
    (t.scratch / "base.raw").write_bytes(b"\0" * MIB)
    real = t.make("real.qcow2", "qcow2", "-b", str(t.scratch / "base.raw"), "-F", "raw", size="1M")
    says(t.refused("a backing file as qemu-img writes it", "qcow2", real, "backing file")["agent_code"], "UNSAFE")


def Qcow2WithAnExternalDataFileIsRefused(t):
    data = t.make("d.qcow2", "qcow2", "-o", f"data_file={t.scratch}/data.raw,data_file_raw=on")
    says(t.refused("external data file", "qcow2", data, "external file")["agent_code"], "UNSAFE")


def Qcow2WithUnknownIncompatibleFeaturesIsRefused(t):
    good = t.make("f.qcow2", "qcow2")
    for bit in (5, 17, 63):
        data = patched(good, 72, struct.pack(">Q", 1 << bit))
        t.refused(f"incompatible feature bit {bit}", "qcow2", data, "incompatible feature")
    t.refused("marked as corrupt", "qcow2", patched(good, 72, struct.pack(">Q", 2)), "corrupt")


def Qcow2WithALyingHeaderIsRefused(t):
    good = t.make("h.qcow2", "qcow2")
    for what, offset, value in (("version 1", 4, struct.pack(">I", 1)), ("version 4", 4, struct.pack(">I", 4)), ("cluster bits 0", 20, struct.pack(">I", 0)),
                                ("cluster bits 40", 20, struct.pack(">I", 40)), ("encrypted", 32, struct.pack(">I", 1)), ("header length 0", 100, struct.pack(">I", 0)),
                                ("header length 2 GiB", 100, struct.pack(">I", 1 << 31)), ("header length 73", 100, struct.pack(">I", 73)),
                                ("size 2^63", 24, struct.pack(">Q", 1 << 63)), ("backing file name at 2^63", 8, struct.pack(">QI", 1 << 63, 8)),
                                ("backing file name of 4 GiB", 8, struct.pack(">QI", 1024, 0xffffffff)), ("L1 table behind the end", 40, struct.pack(">Q", 1 << 40))):
        t.refused(what, "qcow2", patched(good, offset, value))
    # Version 2 has no features: what stands where version 3 keeps them does not excuse a backing file.
    second = patched(t.make("v2.qcow2", "qcow2", "-o", "compat=0.10"), 8, struct.pack(">QI", 1024, 11))
    t.refused("version 2 with a backing file", "qcow2", patched(second, 1024, b"/etc/passwd"), "backing file")


def ContentThatIsAnotherFormatThanRegisteredIsRefused(t):
    contents = {"qcow2": t.filled("qcow2"), "vmdk": t.filled("vmdk"), "vdi": t.filled("vdi"), "vhdx": t.filled("vhdx"), "vhd": t.filled("vpc")}
    for content, data in contents.items():
        for registered in ("raw", *contents):
            if registered != content:
                t.refused(f"{content} registered as {registered}", registered, data)
    says(t.refused("qcow2 registered as raw", "raw", contents["qcow2"], "qcow2", "raw")["agent_code"], "UNSAFE")
    for registered in contents:
        t.refused(f"text registered as {registered}", registered, b"#!/bin/sh\n" + b"x" * MIB)


def QedAndLuksAreRefused(t):
    qed = b"QED\0" + struct.pack("<IIIQQQQQII", 65536, 4, 1, 1, 0, 0, 65536, 4 * MIB, 0, 0) + b"\0" * MIB
    says(t.refused("QED as raw", "raw", qed, "qed")["agent_code"], "UNSAFE")
    status, answer = t.agent.call("POST", IMAGE, {"name": "x", "disk_format": "qed", "container_format": "bare"})
    equal(status, 400, f"an image of format qed: {answer}")
    t.refused("LUKS as raw", "raw", b"LUKS\xba\xbe\0\1" + b"\0" * MIB, "luks")


def VmdkOfOtherKindsIsRefused(t):
    path = t.scratch / "flat.vmdk"
    t.make("flat.vmdk", "vmdk", "-o", "subformat=monolithicFlat")
    says(t.refused("monolithicFlat's descriptor", "vmdk", path.read_bytes())["agent_code"], "UNSAFE")
    t.refused("monolithicFlat's descriptor as raw", "raw", path.read_bytes().ljust(MIB, b"\0"), "vmdk")
    for kind in ("twoGbMaxExtentSparse", "twoGbMaxExtentFlat"):
        t.make("two.vmdk", "vmdk", "-o", f"subformat={kind}")
        t.refused(kind, "vmdk", (t.scratch / "two.vmdk").read_bytes())
    good = t.filled("vmdk")
    extent = re.search(rb'RW \d+ SPARSE "[^"]*"', good).group(0)
    for name in (b"/etc/passwd", b"../../x", b"nbd://h/x"):
        lying = with_descriptor(good, extent, extent[:extent.index(b'"')] + b'"' + name + b'"')
        t.refused(f"extent {name.decode()}", "vmdk", lying, "it refers to another file")
    says(t.refused("monolithicFlat said inside", "vmdk", with_descriptor(good, b'"monolithicSparse"', b'"monolithicFlat"'), "monolithicFlat")["agent_code"], "UNSAFE")
    t.refused("a second extent", "vmdk", with_descriptor(good, extent, extent + b'\nRW 2048 FLAT "/etc/passwd" 0'))
    t.refused("a parent", "vmdk", with_descriptor(good, b"parentCID=ffffffff", b"parentCID=12345678"), "parent")


def DifferencingDisksOfOtherFormatsAreRefused(t):
    vhd = t.filled("vpc")
    footer = len(vhd) - 512
    for at in (0, footer):
        if vhd[at:at + 8] == b"conectix":
            vhd = patched(vhd, at + 60, struct.pack(">I", 4))
    t.refused("differencing VHD", "vhd", vhd)
    vdi = t.filled("vdi")
    t.refused("differencing VDI", "vdi", patched(vdi, 0x4c, struct.pack("<I", 4)))


def TruncatedImagesAreRefused(t):
    for disk_format, made in (("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vdi", "vdi"), ("vhdx", "vhdx"), ("vhd", "vpc")):
        data = t.filled(made)
        for length in (0, 1, 3, 4, 8, 64, 71, 72, 100, 103, 511, 512):
            t.refused(f"{disk_format} cut after {length} bytes", disk_format, data[:length])
    answer = t.refused("raw of no length", "raw", b"")
    says(answer["message"], "it is empty")


def ComputectlSaysItAndDeletesTheImageAgain(t):
    path = t.scratch / "evil.qcow2"
    path.write_bytes(patched(patched(t.make("e.qcow2", "qcow2"), 8, struct.pack(">QI", 1024, 11)), 1024, b"/etc/passwd"))
    done = t.agent.ctl("image", "create", "--disk-format", "qcow2", "--file", str(path), "evil", check=False)
    equal((done.returncode, done.stdout), (1, ""), "computectl image create")
    says(done.stderr, "backing file", "what to do:")
    equal(t.agent.ok("GET", f"{IMAGE}?name=evil")["images"], [], "images of that name")


# --- builds

def BuildLooksAgainAtWhatIsStored(t):
    """The store's file is exchanged after the upload, and the message's size follows it."""
    flavor = {"id": "f", "name": "f", "vcpus": 1, "memory_mib": 64, "root_gib": 1}
    evil = patched(patched(t.make("s.qcow2", "qcow2"), 8, struct.pack(">QI", 1024, 11)), 1024, b"/etc/passwd")
    for what, disk_format, good, bad in (("backing file", "qcow2", t.make("g.qcow2", "qcow2"), evil), ("qcow2", "raw", b"\0" * MIB, t.make("g.qcow2", "qcow2"))):
        image = t.record(disk_format)
        equal(t.agent.upload(image, good)[0], 204, "upload")
        (DATA / "images" / image).write_bytes(bad)
        uuid = str(uuids.uuid4())
        args = {"instance": {"uuid": uuid, "name": "victim", "hostname": "victim", "flavor": flavor,
                             "image": {"id": image, "disk_format": disk_format, "size_bytes": len(bad)}}}
        status, reply = t.agent.send(Agent.envelope("build_and_run_instance", args, call=True))
        failure = json.loads(reply["failure"])
        equal((failure["class"], failure["kwargs"]["code"]), ("ImageUnacceptable", "UNSAFE"), f"{what}: {failure}")
        says(failure["message"], what)
        equal(t.agent.server(uuid)["status"], "ERROR", "state")
        equal(t.agent.leftovers(uuid), [], "left over")
        check(not (INSTANCES / "_base" / sha1(image)).exists() and not list(INSTANCES.rglob("*.part")), "something is in the cache")
        t.agent.ctl("server", "delete", "--wait", uuid)
        t.agent.ctl("image", "delete", image)
    equal(t.calls.read_text(), "", "calls of qemu-img")


def AcceptedFormatsAreConvertedWithinLimits(t):
    flavor = t.agent.flavor("tiny")
    content = b"".join(bytes([n % 251]) * 4096 for n in range(1024))
    for disk_format, data in (("qcow2", t.filled("qcow2", "-c")), ("vmdk", t.filled("vmdk")), ("vmdk", t.filled("vmdk", "-o", "subformat=streamOptimized")),
                              ("vdi", t.filled("vdi")), ("vhdx", t.filled("vhdx")), ("vhd", t.filled("vpc", "-o", "force_size=on"))):
        t.calls.write_text("")
        image = t.record(disk_format)
        status, answer = t.agent.upload(image, data)
        equal(status, 204, f"upload of a {disk_format}: {answer}")
        uuid = t.agent.create(f"from-{disk_format}", image, flavor)
        t.agent.wait_status(uuid, "ACTIVE")
        call = re.fullmatch(r"cpu=(\d+) memory=(\d+) file=(\d+) core=0 argv=convert -f (\w+) -O raw (\S+) (\S+)\n", t.calls.read_text())
        check(call, f"{disk_format}: one bounded convert was expected: {t.calls.read_text()}")
        cpu, memory_kib, file_kib, source_format, source, target = call.groups()
        check(0 < int(cpu) <= 120 and 0 < int(memory_kib) <= 1 << 20 and 4 << 10 <= int(file_kib) <= 8 << 10, f"limits: {call.group(0)}")
        equal((source_format, source, Path(target).parent), ({"vhd": "vpc"}.get(disk_format, disk_format), str(DATA / "images" / image), INSTANCES / "_base"), "convert")
        equal((INSTANCES / "_base" / sha1(image)).read_bytes()[:len(content)], content, f"content of the base from {disk_format}")
        t.agent.ctl("server", "delete", "--wait", uuid)
        t.agent.ctl("image", "delete", image)


def RawImageNeedsNoQemuImgAtAll(t):
    t.calls.write_text("")
    image = t.agent.image(guest.RAW, "raw", "plain")
    uuid = t.agent.create("plain", image, t.agent.ok("GET", "/compute/v2.1/flavors")["flavors"][0]["id"])
    t.agent.wait_status(uuid, "ACTIVE")
    equal(t.calls.read_text(), "", "calls of qemu-img")
    t.agent.ctl("server", "delete", "--wait", uuid)


def QemuImgThatFloodsItsOutputIsEnded(t):
    t.wrapper.write_text("#!/bin/sh\nwhile :; do echo yes yes yes yes; done\n")
    image = t.record("qcow2")
    t.agent.upload(image, t.filled("qcow2"))
    uuid = t.agent.create("flood", image, t.agent.ok("GET", "/compute/v2.1/flavors")["flavors"][0]["id"])
    fault = t.agent.wait_status(uuid, "ERROR")["fault"]
    says(" ".join([fault["message"], *fault["causes"]]), "wrote more than 65536 bytes to standard output")
    equal(t.agent.leftovers(uuid), [], "left over")
    t.agent.ctl("server", "delete", "--wait", uuid)
    equal(t.agent.stop(), 0, "exit status of the agent")


CASES = [Qcow2WithABackingFileIsRefused, Qcow2WithAnExternalDataFileIsRefused, Qcow2WithUnknownIncompatibleFeaturesIsRefused, Qcow2WithALyingHeaderIsRefused,
         ContentThatIsAnotherFormatThanRegisteredIsRefused, QedAndLuksAreRefused, VmdkOfOtherKindsIsRefused, DifferencingDisksOfOtherFormatsAreRefused,
         TruncatedImagesAreRefused, ComputectlSaysItAndDeletesTheImageAgain, BuildLooksAgainAtWhatIsStored, AcceptedFormatsAreConvertedWithinLimits,
         RawImageNeedsNoQemuImgAtAll, QemuImgThatFloodsItsOutputIsEnded]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        images = Images(scratch)
        images.agent.start()
        tap.run(CASES, images)
