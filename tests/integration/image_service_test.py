"""The image service: every format becomes the same disk, images come from a URL, properties are checked, data is checked again."""
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import guest, tap
from harness.agent import DATA, INSTANCES, Agent, sha1, wait_for
from harness.check import check, equal, says

MIB = 1 << 20
IMAGE = "/image/v2/images"
# Name: (format registered, what qemu-img is told)
FORMATS = {
    "raw": ("raw", ["-O", "raw"]),
    "qcow2 version 2": ("qcow2", ["-O", "qcow2", "-o", "compat=0.10"]),
    "qcow2 version 3": ("qcow2", ["-O", "qcow2", "-o", "compat=1.1"]),
    "qcow2 compressed": ("qcow2", ["-c", "-O", "qcow2"]),
    "qcow2 compressed by zstd": ("qcow2", ["-c", "-O", "qcow2", "-o", "compression_type=zstd"]),
    "vmdk streamOptimized": ("vmdk", ["-O", "vmdk", "-o", "subformat=streamOptimized"]),
    "vmdk monolithicSparse": ("vmdk", ["-O", "vmdk", "-o", "subformat=monolithicSparse"]),
    "vdi": ("vdi", ["-O", "vdi"]),
    "vhd": ("vhd", ["-O", "vpc", "-o", "force_size=on"]),
    "vhdx": ("vhdx", ["-O", "vhdx"]),
}


class Web(http.server.ThreadingHTTPServer):
    """Serves `answers`: path to a function of the handler."""

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request, client_address):
        pass  # a client that goes away is part of the test


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.answers[self.path](self)

    def log_message(self, *_):
        pass


def body(data, length=None, chunked=False):
    def answer(handler):
        handler.send_response(200)
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(length or len(data)))))
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data) if chunked else data)
    return answer


def redirect(where):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", where)
        handler.end_headers()
    return answer


def missing(handler):
    handler.send_error(404)


class T:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.web = Web()
        self.agent = Agent(scratch, cpu_allocation_ratio=16, shutdown_timeout=2, import_filtering_opts__allowed_ports="")
        self.agent.start()
        self.flavor = self.agent.flavor()
        self.raw = self.scratch / "content.raw"
        self.raw.write_bytes(b"".join(bytes([n % 251]) * 4096 for n in range(1024)))

    def record(self, disk_format="raw", **more):
        return self.agent.ok("POST", IMAGE, {"name": "from afar", "disk_format": disk_format, "container_format": "bare", **more})["id"]

    def importing(self, image, url, checksum=None):
        method = {"name": "web-download", "uri": url, **({"checksum": checksum} if checksum else {})}
        return self.agent.call("POST", f"{IMAGE}/{image}/import", {"method": method})

    def not_imported(self, url, *words, checksum=None, disk_format="raw"):
        """The order is taken, and the image then says why it has no data."""
        image = self.record(disk_format)
        status, answer = self.importing(image, url, checksum)
        equal(status, 202, f"import of {url} ({answer})")
        seen = wait_for("the import to fail", lambda: next((i for i in [self.agent.ok("GET", f"{IMAGE}/{image}")] if "os_glance_failed_import" in i), None))
        says(seen["os_glance_failed_import"], *words)
        equal((seen["status"], (DATA / "images" / image).exists(), list((DATA / "images").glob("*.part"))), ("queued", False, []), "what is left")
        return image

    def base_of(self, image):
        uuid = self.agent.create("one", image, self.flavor)
        self.agent.wait_status(uuid, "ACTIVE")
        content = (INSTANCES / "_base" / sha1(image)).read_bytes()
        self.agent.ok("DELETE", f"/compute/v2.1/servers/{uuid}")
        self.agent.wait_status(uuid, "DELETED")
        return content


def EveryFormatBecomesTheSameDisk(t):
    content = t.raw.read_bytes()
    for name, (disk_format, options) in FORMATS.items():
        path = t.scratch / "image"
        subprocess.run(["qemu-img", "convert", "-f", "raw", *options, t.raw, path], check=True)
        shown = json.loads(t.agent.ctl("image", "create", "--disk-format", disk_format, "--file", str(path), "-f", "json", name).stdout)
        equal((shown["status"], shown["size"], shown["checksum"]), ("active", path.stat().st_size, hashlib.md5(path.read_bytes()).hexdigest()), name)
        equal(shown["properties"]["os_hash_value"], hashlib.sha512(path.read_bytes()).hexdigest(), f"{name}: sha512")
        equal(shown["virtual_size"] >= len(content), True, f"{name}: virtual size")
        check(t.base_of(shown["id"])[:len(content)] == content, f"{name}: the base in the cache differs from the disk inside")
        t.agent.ctl("image", "delete", shown["id"])


def GuestBootsFromVmdkAndFromZstd(t):
    for disk_format, options in (FORMATS["vmdk streamOptimized"], FORMATS["qcow2 compressed by zstd"]):
        path = t.scratch / "bootable"
        subprocess.run(["qemu-img", "convert", *options, guest.QCOW2, path], check=True)
        uuid = t.agent.create("booted", t.agent.image(path, disk_format), t.agent.flavor(f"for {disk_format}", ram=128))
        t.agent.wait_status(uuid, "ACTIVE")
        guest.wait_ready(t.agent, uuid)
        t.agent.ok("DELETE", f"/compute/v2.1/servers/{uuid}")
        t.agent.wait_status(uuid, "DELETED")


def SaveGivesBackTheBytes(t):
    image, saved = t.agent.image(t.raw, "raw", "saved"), t.scratch / "saved"
    t.agent.ctl("image", "save", "--file", str(saved), image)
    equal(hashlib.sha512(saved.read_bytes()).hexdigest(), hashlib.sha512(t.raw.read_bytes()).hexdigest(), "what was saved")
    done = t.agent.ctl("image", "save", "--file", str(saved), t.record(), check=False)
    says(done.stderr, "has no data: its status is queued")


def ImportTakesAnImageFromAUrl(t):
    data = t.raw.read_bytes()
    t.web.answers.update({"/direct": body(data), "/chunked": body(data, chunked=True), "/moved": redirect("/elsewhere"),
                          "/elsewhere": redirect(t.web.url("/direct"))})
    for path, algorithm in (("/direct", "sha256"), ("/chunked", "md5"), ("/moved", "sha512")):
        image = t.record()
        checksum = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest().upper()}"
        shown = json.loads(t.agent.ctl("image", "import", "--uri", t.web.url(path), "--checksum", checksum, "--wait", "-f", "json", image).stdout)
        equal((shown["status"], shown["size"], shown["checksum"]), ("active", len(data), hashlib.md5(data).hexdigest()), path)
    check(t.base_of(image) == data, "the base differs from what was served")


def ImportThatFailsSaysWhyAndLeavesNothing(t):
    data = t.raw.read_bytes()
    t.web.answers.update({"/short": body(data, length=len(data) + 1), "/missing": missing, "/loop": redirect("/loop"), "/data": body(data),
                          "/away": redirect("file:///etc/shadow")})
    t.not_imported(t.web.url("/data"), "its sha256 is", "not " + "0" * 64, checksum="sha256:" + "0" * 64)
    t.not_imported(t.web.url("/short"), "breaks off")
    t.not_imported(t.web.url("/missing"), "404")
    t.not_imported(t.web.url("/loop"), "more than 5 redirects")
    t.not_imported(t.web.url("/away"), "no http:// or https:// URL")
    t.not_imported("http://127.0.0.1:1/x", "127.0.0.1:1", "refused")
    t.not_imported(t.web.url("/data"), "qcow2", disk_format="qcow2")


def FailedImportMayBeTriedAgain(t):
    t.web.answers.update({"/later": missing})
    image = t.not_imported(t.web.url("/later"), "404")
    t.web.answers.update({"/later": body(t.raw.read_bytes())})
    t.agent.ctl("image", "import", "--uri", t.web.url("/later"), "--wait", image)
    shown = t.agent.ok("GET", f"{IMAGE}/{image}")
    equal((shown["status"], "os_glance_failed_import" in shown), ("active", False), "the image")
    status, answer = t.importing(image, t.web.url("/later"))
    equal(status, 409, f"a second import of an active image ({answer})")


def CertificateThatNobodyVouchesForIsRefused(t):
    pem = t.scratch / "tls.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", pem, "-out", t.scratch / "cert.pem"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (t.scratch / "cert.pem").read_text())
    tls = Web(tls=pem)
    tls.answers.update({"/data": body(t.raw.read_bytes())})
    t.not_imported(tls.url("/data"), "no TLS with", "certificate verify failed")
    equal(tls.asked, [], "requests over the connection that was refused")


def UrlsThatMakeNoSenseAreRefusedAtOnce(t):
    image = t.record()
    for url, words in (("file:///etc/passwd", "no http"), ("http://user:secret@h/x", "user name"), ("http://h:99999/", "no port"),
                       ("http://a b/", "space"), ("http:///x", "host name"), ("gopher://h/", "no http")):
        status, answer = t.importing(image, url)
        equal(status, 400, url)
        says(answer["message"], words)
    equal(t.importing(image, "http://h/x", "crc32:12345678")[0], 400, "an unknown digest")
    equal(t.importing("11111111-1111-4111-8111-111111111111", "http://h/x")[0], 404, "an unknown image")


def PortsAndHostsAreFilteredAlsoBehindARedirect(t):
    t.agent.stop()
    port = t.web.server_address[1]
    agent = Agent(t.scratch, import_filtering_opts__allowed_ports=str(port), import_filtering_opts__disallowed_hosts="localhost,169.254.169.254")
    whole, t.agent = t.agent, agent
    agent.start()
    t.web.answers.update({"/out": redirect("http://169.254.169.254:%d/latest" % port), "/port": redirect("http://127.0.0.1:22/")})
    for url, words in ((f"http://localhost:{port}/x", "not imported from localhost"), ("http://127.0.0.1:22/", "port 22")):
        status, answer = t.importing(t.record(), url)
        equal(status, 403, url)
        says(answer["message"], words)
    t.not_imported(t.web.url("/out"), "not imported from 169.254.169.254")
    t.not_imported(t.web.url("/port"), "port 22")
    agent.stop()
    t.agent = Agent(t.scratch, cpu_allocation_ratio=16, shutdown_timeout=2, import_filtering_opts__allowed_ports="")
    t.agent.start()
    check(whole is not t.agent, "another agent")


def ImportThatDiesWithTheAgentIsQueuedAgain(t):
    release, begun = threading.Event(), threading.Event()

    def slow(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(4 * MIB))
        handler.end_headers()
        handler.wfile.write(bytes(2 * MIB))
        begun.set()
        release.wait(60)
    t.web.answers.update({"/slow": slow})
    image = t.record()
    equal(t.importing(image, t.web.url("/slow"))[0], 202, "import")
    check(begun.wait(30), "the server was never asked")
    wait_for("the first bytes on disk", lambda: any(p.stat().st_size for p in (DATA / "images").glob("*.part")))
    t.agent.kill()
    release.set()
    t.agent.start()
    equal((t.agent.ok("GET", f"{IMAGE}/{image}")["status"], list((DATA / "images").glob("*.part"))), ("queued", []), "after the restart")


def PropertiesThatMakeNoSenseAreRefused(t):
    for name, value in (("hw_disk_bus", "floppy"), ("hw_vif_model", "carrier-pigeon"), ("hw_machine_type", "pc;reboot"), ("hw_cdrom_bus", "tape"),
                        ("hw_scsi_model", "none"), ("hw_video_model", "crt"), ("hw_rng_model", "dice"), ("hw_qemu_guest_agent", "perhaps"), ("os_type", "cp/m")):
        status, answer = t.agent.call("POST", IMAGE, {"name": "odd", "disk_format": "raw", "container_format": "bare", name: value})
        equal(status, 400, f"{name}={value}")
        says(answer["message"], name, value, "must be")
    image = t.record(hw_disk_bus="scsi", hw_scsi_model="virtio-scsi", hw_firmware_type="uefi", os_distro="debian", os_type="linux", anything="goes")
    done = t.agent.ctl("image", "set", "--property", "hw_disk_bus=floppy", image, check=False)
    equal(done.returncode, 1, "image set of nonsense")
    says(done.stderr, "hw_disk_bus", "virtio, scsi, sata, ide, usb")
    equal(t.agent.ok("GET", f"{IMAGE}/{image}")["hw_disk_bus"], "scsi", "the property")


def ProtectedImageIsNotDeleted(t):
    image = t.agent.image(t.raw, "raw", "precious", protected=True)
    done = t.agent.ctl("image", "delete", image, check=False)
    equal(done.returncode, 1, "image delete of a protected one")
    says(done.stderr, "is protected", "--unprotected")
    check((DATA / "images" / image).exists(), "its data is gone")
    t.agent.ctl("image", "set", "--unprotected", image)
    t.agent.ctl("image", "delete", image)
    check(not (DATA / "images" / image).exists(), "its data is still there")


def DataThatChangedInTheStoreIsNeverUsed(t):
    image = t.agent.image(t.raw, "raw", "rotten")
    with open(DATA / "images" / image, "r+b") as stored:
        stored.seek(MIB)
        stored.write(b"rot")
    uuid = t.agent.create("rotten", image, t.flavor)
    fault = t.agent.wait_status(uuid, "ERROR")["fault"]
    says(json.dumps(fault), "sha512")
    check(not (INSTANCES / "_base" / sha1(image)).exists(), "it is in the cache")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        t = T(scratch)
        try:
            tap.run([EveryFormatBecomesTheSameDisk, GuestBootsFromVmdkAndFromZstd, SaveGivesBackTheBytes, ImportTakesAnImageFromAUrl,
                     ImportThatFailsSaysWhyAndLeavesNothing, FailedImportMayBeTriedAgain, CertificateThatNobodyVouchesForIsRefused,
                     UrlsThatMakeNoSenseAreRefusedAtOnce, PortsAndHostsAreFilteredAlsoBehindARedirect, ImportThatDiesWithTheAgentIsQueuedAgain,
                     PropertiesThatMakeNoSenseAreRefused, ProtectedImageIsNotDeleted, DataThatChangedInTheStoreIsNeverUsed], t)
        finally:
            t.agent.kill()
