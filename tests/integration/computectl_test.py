"""Every command of computectl against a running agent: formats, columns, names, ids, exit statuses, errors, help, completion."""
import csv
import io
import json
import os
import pty
import re
import select
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

from harness import guest, tap
from harness.agent import BUILD, Agent
from harness.check import check, equal, says

COMPUTECTL = BUILD / "agent/ctl/computectl"
COMMANDS = """image create, image list, image show, image set, image delete, flavor create, flavor list, flavor show, flavor set, flavor delete,
network create, network list, network show, network delete, subnet create, subnet list, subnet delete, keypair create, keypair list, keypair delete,
server create, server list, server show, server delete, server start, server stop, server reboot, server event list, server event show,
console log show, compute service list, compute service set, hypervisor list, hypervisor show, hypervisor stats show"""
COMMANDS = [c.strip() for c in COMMANDS.replace("\n", " ").split(",")]


class Ctl:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.agent = Agent(scratch)
        self.blank = self.scratch / "blank.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(self.blank), "16M"], check=True)

    def run(self, *args, **more):
        return self.agent.ctl(*args, check=False, **more)

    def done(self, *args):
        """Standard output of a command that must succeed and say nothing on standard error."""
        done = self.run(*args)
        equal((done.returncode, done.stderr), (0, ""), f"computectl {' '.join(args)}")
        return done.stdout

    def json(self, *args):
        return json.loads(self.done(*args, "-f", "json"))

    def fails(self, status, *args, **more):
        """Standard error of a command that must fail with that status and say nothing on standard output."""
        done = self.run(*args, **more)
        equal((done.returncode, done.stdout), (status, ""), f"computectl {' '.join(args)}: {done.stderr}")
        check("what to do:" in done.stderr or status == 2, f"computectl {' '.join(args)} does not say what to do: {done.stderr}")
        return done.stderr

    def terminal(self, *args):
        """What a command writes to a terminal on standard error; standard output goes elsewhere."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([str(COMPUTECTL), *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        text, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                text += piece
        os.close(ours)
        equal(process.wait(10), 0, f"computectl {' '.join(args)}: {text!r}")
        return text.decode(errors="replace")


# --- help

def HelpNamesEveryCommand(t):
    text = t.done("--help")
    for command in COMMANDS:
        check(re.search(rf"^  {command}  +\S", text, re.M), f"{command} is not in --help")
    says(text, "Exit status: 0 done, 1 failed, 2 not understood")
    t.commands = re.findall(r"^  ([a-z]+(?: [a-z]+)*)  +\S", text[text.index("\ncommands:"):], re.M)


def EveryCommandHasHelpWithAnExampleThatIsUnderstood(t):
    for command in t.commands:
        text = t.done(*command.split(), "--help")
        equal(t.done("help", *command.split()), text, f"help {command}")
        says(text, f"usage: computectl {command}", "\nexample:\n  computectl ")
        examples = [shlex.split(line) for line in text[text.index("\nexample:"):].splitlines()[2:] if line.strip()]
        check(all(e[:1 + len(command.split())] == ["computectl", *command.split()] for e in examples), f"{command}: the example is of another command: {examples}")
        for example in examples:
            words = example[1:example.index(">")] if ">" in example else example[1:]
            done = subprocess.run([str(COMPUTECTL), *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=t.scratch, timeout=60)
            check(done.returncode in (0, 1), f"the example of {command} is not understood: {done.stderr}")
    # What the examples made.
    for kind, columns in (("keypair", "Name"), ("subnet", "ID"), ("network", "ID"), ("flavor", "ID"), ("image", "ID")):
        names = t.done(kind, "list", "-f", "value", "-c", columns).split()
        if names:
            t.done(kind, "delete", *names)


# --- what is there to work with

def CreateShowsWhatItMade(t):
    (t.scratch / "key.pub").write_text(guest.KEY + "\n")
    image = t.json("image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", str(t.blank), "--min-disk", "1", "--min-ram", "32",
                   "--property", "os_distro=debian", "--tag", "small", "--private", "blank")
    equal((image["name"], image["status"], image["disk_format"], image["min_disk"], image["min_ram"], image["visibility"], image["tags"]),
          ("blank", "active", "qcow2", 1, 32, "private", ["small"]), "image")
    equal(image["properties"]["os_distro"], "debian", "its property")
    t.image = image["id"]
    flavor = t.json("flavor", "create", "--ram", "64", "--vcpus", "1", "--disk", "1", "--property", "hw_rng:allowed=true", "tiny")
    equal((flavor["name"], flavor["ram"], flavor["vcpus"], flavor["disk"], flavor["properties"]), ("tiny", 64, 1, 1, {"hw_rng:allowed": "true"}), "flavor")
    network = t.json("network", "create", "--provider-network-type", "isolated", "--mtu", "1400", "net1")
    equal((network["name"], network["provider:network_type"], network["mtu"]), ("net1", "isolated", 1400), "network")
    subnet = t.json("subnet", "create", "--network", "net1", "--subnet-range", "10.77.3.0/24", "--gateway", "10.77.3.9", "--dns-nameserver", "10.77.3.53",
                    "--allocation-pool", "start=10.77.3.100,end=10.77.3.110", "sub1")
    equal((subnet["cidr"], subnet["gateway_ip"], subnet["dns_nameservers"], subnet["allocation_pools"]),
          ("10.77.3.0/24", "10.77.3.9", ["10.77.3.53"], [{"start": "10.77.3.100", "end": "10.77.3.110"}]), "subnet")
    keypair = t.json("keypair", "create", "--public-key", str(t.scratch / "key.pub"), "key1")
    equal((keypair["name"], keypair["type"], len(keypair["fingerprint"])), ("key1", "ssh", 47), "keypair")
    made = t.done("keypair", "create", "made-here")
    says(made, "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----")
    server = t.json("server", "create", "--image", "blank", "--flavor", "tiny", "--network", "net1", "--key-name", "key1", "--property", "role=web",
                    "--tag", "a", "--wait", "web1")
    equal((server["name"], server["status"], server["key_name"], server["properties"], server["tags"]), ("web1", "ACTIVE", "key1", {"role": "web"}, ["a"]), "server")
    equal(server["addresses"], {"net1": ["10.77.3.100"]}, "addresses: from the pool that was given")
    t.server, t.network = server["id"], network["id"]


def EveryListIsTheSameInEveryFormat(t):
    request = t.json("server", "event", "list", "web1")[0]["Request ID"]
    lists = ["image list", "flavor list", "network list", "subnet list", "keypair list", "server list", "server event list web1", "compute service list",
             "hypervisor list", "image list --long", "server list --long", "network list --long", "subnet list --long", "server event list --long web1"]
    for command in (c.split() for c in lists):
        rows = t.json(*command)
        check(rows and all(isinstance(row, dict) for row in rows), f"{command}: {rows}")
        names = list(rows[0])
        varying = {"Updated At"}  # the time of asking
        table = t.done(*command, "-f", "table")
        head, body = table.splitlines()[1], table.splitlines()[3:-1]
        equal([cell.strip() for cell in head.strip("|").split("|")], names, f"{command}: columns of the table")
        equal(t.done(*command).splitlines()[0], table.splitlines()[0], f"{command}: table is the default")
        read = list(csv.DictReader(io.StringIO(t.done(*command, "-f", "csv"))))
        equal([list(row) for row in read], [names] * len(rows), f"{command}: columns of csv")
        values = t.done(*command, "-f", "value").splitlines()
        yaml = t.done(*command, "-f", "yaml")
        equal(len(re.findall(r"^- ", yaml, re.M)), len(rows), f"{command}: rows in yaml")
        equal((len(body) >= len(rows), len(values)), (True, len(rows)), f"{command}: rows")
        for row, line, csv_row in zip(rows, values, read):
            for name, value in row.items():
                if name in varying or not isinstance(value, (str, int)) or isinstance(value, bool):
                    continue
                check(str(value) in line and str(value) == csv_row[name], f"{command}: {name} is {value!r} in json, csv {csv_row[name]!r}, value {line!r}")
                check(re.search(rf"^[- ] {re.escape(name)}: ['\"]?{re.escape(str(value))}['\"]?$", yaml, re.M) or value == "", f"{command}: {name}: {value} is not in yaml:\n{yaml}")
    shows = ["image show blank", "flavor show tiny", "network show net1", "subnet show sub1", "keypair show key1", "server show web1",
             f"server event show web1 {request}", "hypervisor show lab", "hypervisor stats show"]
    for command in (c.split() for c in shows):
        record = t.json(*command)
        check(isinstance(record, dict) and len(record) > 3, f"{command}: {record}")
        table, yaml, shell = (t.done(*command, "-f", f) for f in ("table", "yaml", "shell"))
        equal([c.strip() for c in table.splitlines()[1].strip("|").split("|")], ["Field", "Value"], f"{command}: head of the table")
        for name, value in record.items():
            check(re.search(rf"^\| {re.escape(name)} +\|", table, re.M) or value is None, f"{command}: {name} is not in the table")
            check(re.search(rf"^['\"]?{re.escape(name)}['\"]?:", yaml, re.M), f"{command}: {name} is not in yaml")
            check(f"{re.sub('[^a-z0-9]', '_', name.lower())}=\"" in shell, f"{command}: {name} is not in shell")
        name = next(n for n, v in record.items() if isinstance(v, (str, int)) and not isinstance(v, bool) and v != "")
        equal(t.done(*command, "-f", "value", "-c", name).strip(), str(record[name]), f"{command} -f value -c {name}")


def ColumnsAreTakenByName(t):
    equal(t.json("server", "list", "-c", "Name", "-c", "Status"), [{"Name": "web1", "Status": "ACTIVE"}], "-c")
    equal(t.done("server", "list", "-f", "value", "-c", "ID").strip(), t.server, "-f value -c ID")
    equal(t.done("server", "show", "web1", "-f", "value", "-c", "status").strip(), "ACTIVE", "show -c")
    says(t.fails(1, "server", "list", "-c", "Colour"), "No recognized column names in ['Colour']", "'Status'")
    width = lambda *args: max(len(line) for line in t.done("server", "list", *args).splitlines())
    check(width() > 80 >= width("--max-width", "80"), f"--max-width 80: {width('--max-width', '80')} columns")
    equal(t.done("server", "list", "-f", "json", "--noindent").count("\n"), 1, "lines of --noindent")
    equal([r["Name"] for r in t.json("keypair", "list", "--sort-column", "Name", "--sort-descending")], ["made-here", "key1"], "sorted downwards")


def NamesAndIdsBothWork(t):
    for kind, name in (("image", "blank"), ("flavor", "tiny"), ("network", "net1"), ("subnet", "sub1"), ("server", "web1")):
        by_name = t.json(kind, "show", name)
        equal(t.json(kind, "show", by_name["id"]), by_name, f"{kind} by id")
    hypervisor = t.json("hypervisor", "list")[0]
    equal(t.json("hypervisor", "show", hypervisor["ID"])["hypervisor_hostname"], "lab", "hypervisor by id")
    made = t.json("server", "create", "--image", t.image, "--flavor", t.json("flavor", "show", "tiny")["id"], "--network", t.network, "--wait", "by-ids")
    equal(made["status"], "ACTIVE", "server made by ids")
    t.done("server", "delete", "--wait", made["id"])


def AmbiguousNameIsAnErrorThatListsTheIds(t):
    made = {"image": [t.json("image", "create", "--disk-format", "raw", "twin")["id"] for _ in range(2)],
            "network": [t.json("network", "create", "--provider-network-type", "isolated", "twin")["id"] for _ in range(2)],
            "server": [t.json("server", "create", "--image", "blank", "--flavor", "tiny", "--nic", "none", "--wait", "twin")["id"] for _ in range(2)]}
    for kind, ids in made.items():
        for verb in ("show", "delete"):
            says(t.fails(1, kind, verb, "twin"), f"More than one {kind} exists with the name 'twin'", *ids)
        t.done(kind, "delete", *ids)
        says(t.fails(1, kind, "show", "twin") if kind != "server" else "No server with", f"No {kind} with")
    for uuid in made["server"]:
        t.agent.wait_status(uuid, "DELETED")


# --- exit statuses and errors

def UsageErrorsEndWithTwo(t):
    says(t.fails(2, "server", "list", "--frmat", "json"), "usage: computectl server list", "unrecognized arguments: --frmat (did you mean --format?)")
    says(t.fails(2, "server", "show"), "the following arguments are required: <server>")
    says(t.fails(2, "server", "create", "x"), "the following arguments are required: --flavor")
    says(t.fails(2, "server", "list", "-f", "xml"), "invalid choice: 'xml' (choose from 'csv', 'json', 'table', 'value', 'yaml')")
    says(t.fails(2, "flavor", "create", "--ram", "much", "f"), "invalid int value: 'much'")
    says(t.fails(2, "server", "reboot", "--hard", "--soft", "web1"), "not allowed with argument")
    says(t.fails(2, "servr", "list"), "'servr list' is not a computectl command", "server list")
    says(t.fails(2), "no command given")
    says(t.fails(2, "server", "show", "web1", "web2"), "unrecognized arguments: web2")


def FailuresEndWithOneAndSayWhatToDo(t):
    for kind in ("image", "flavor", "network", "subnet", "server"):
        says(t.fails(1, kind, "show", "nothing"), f"No {kind} with a name or ID of 'nothing' exists.", f"computectl {kind} list")
        says(t.fails(1, kind, "delete", "nothing"), f"No {kind} with a name or ID of 'nothing' exists.")
    says(t.fails(1, "keypair", "delete", "nothing"), "nothing not found")
    says(t.fails(1, "hypervisor", "show", "nothing"), "nothing")
    says(t.fails(1, "image", "create", "--file", "/nonexistent", "x"), "cannot open '/nonexistent'")
    says(t.fails(1, "server", "start", "web1"), "Cannot 'start' instance", "vm_state active", "HTTP 409")
    says(t.fails(1, "network", "delete", "net1"), "There are one or more ports still in use on the network", t.server)
    says(t.fails(1, "subnet", "delete", "sub1"), "One or more ports have an IP allocation from this subnet")
    says(t.fails(1, "subnet", "create", "--network", "net1", "--subnet-range", "10.77.3.128/25", "x"), "overlaps with another subnet")
    says(t.fails(1, "subnet", "create", "--network", "net1", "--subnet-range", "10.77.300.0/24", "x"), "'10.77.300.0' is not an IP address")
    says(t.fails(1, "flavor", "create", "--ram", "64", "tiny"), "Flavor with name tiny already exists.")
    says(t.fails(1, "keypair", "create", "--public-key", str(t.scratch / "key.pub"), "key1"), "Key pair 'key1' already exists")
    says(t.fails(1, "server", "create", "--image", "blank", "--flavor", "tiny", "--key-name", "nokey", "--nic", "none", "x"), "there is no keypair 'nokey'")
    says(t.fails(1, "server", "event", "show", "web1", "req-nothing"), "req-nothing")


def OneOfSeveralThatFailsDoesNotStopTheOthers(t):
    for name in ("k1", "k2"):
        t.done("keypair", "create", "--public-key", str(t.scratch / "key.pub"), name)
    errors = t.fails(1, "keypair", "delete", "k1", "missing", "k2")
    says(errors, "Failed to delete", "missing", "1 of 3")
    equal({k["Name"] for k in t.json("keypair", "list")}, {"key1", "made-here"}, "keys that are left")


def FailedBuildShowsItsFaultAndEndsWithOne(t):
    t.done("flavor", "create", "--ram", "64", "--vcpus", "100", "--disk", "1", "huge")
    errors = t.fails(1, "server", "create", "--image", "blank", "--flavor", "huge", "--nic", "none", "--wait", "too-big")
    says(errors, "went to ERROR", "does not fit on this host", "vCPUs: 100 CPUs asked for one instance, the host has", "use a smaller flavor")
    shown = t.json("server", "show", "too-big")
    equal((shown["status"], shown["fault"]["agent_code"], shown["fault"]["step"]), ("ERROR", "NO_RESOURCES", "build_and_run_instance/claim"), "fault")
    t.done("server", "delete", "--wait", "too-big")
    t.done("flavor", "delete", "huge")


def TokenProblemsAreSaidClearly(t):
    says(t.fails(1, "server", "list", env={"COMPUTECTL_TOKEN_FILE": "/nonexistent"}), "there is no token file /nonexistent", "start the agent")
    says(t.fails(1, "server", "list", "--os-token", "wrong"), "requires authentication", "HTTP 401", "--os-token")
    done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", str(COMPUTECTL), "--token-file", "/var/lib/compute-agent/token", "server", "list"],
                          capture_output=True, text=True)
    check(done.returncode == 1 and "the token file /var/lib/compute-agent/token may be read by root only" in done.stderr, f"as another user: {done}")
    status, answer = t.agent.call("GET", "/compute/v2.1/servers", token="")
    equal((status, answer["unauthorized"]["code"]), (401, 401), "REST without a token")


# --- every command's effect

def ImageSetChangesAndProtects(t):
    t.done("image", "set", "--name", "blank2", "--min-disk", "0", "--property", "hw_disk_bus=scsi", "--tag", "more", "--protected", "--public", "blank")
    shown = t.json("image", "show", "blank2")
    equal((shown["min_disk"], shown["properties"]["hw_disk_bus"], sorted(shown["tags"]), shown["protected"], shown["visibility"]),
          (0, "scsi", ["more", "small"], True, "public"), "image")
    says(t.fails(1, "image", "delete", "blank2"), "protected", "--unprotected")
    says(t.fails(1, "image", "set", "--disk-format", "raw", "blank2"), "disk_format", "read-only")
    t.done("image", "unset", "--property", "hw_disk_bus", "--tag", "more", "blank2")
    t.done("image", "set", "--unprotected", "--name", "blank", "blank2")
    shown = t.json("image", "show", "blank")
    check("hw_disk_bus" not in shown["properties"] and shown["tags"] == ["small"], f"after unset: {shown}")
    t.done("image", "create", "--disk-format", "raw", "empty")
    equal(t.json("image", "show", "empty")["status"], "queued", "an image without data")
    says(t.fails(1, "server", "create", "--image", "empty", "--flavor", "tiny", "--nic", "none", "x"), "is not active: its status is queued")
    t.done("image", "delete", "empty")
    equal([i["Name"] for i in t.json("image", "list", "--name", "blank", "--status", "active", "--tag", "small")], ["blank"], "filtered list")


def FlavorSetAddsAndUnsetTakesAway(t):
    t.done("flavor", "set", "--property", "quota:cpu_shares=512", "--description", "words", "tiny")
    shown = t.json("flavor", "show", "tiny")
    equal((shown["properties"], shown["description"]), ({"hw_rng:allowed": "true", "quota:cpu_shares": "512"}, "words"), "after set")
    t.done("flavor", "unset", "--property", "quota:cpu_shares", "tiny")
    equal(t.json("flavor", "show", "tiny")["properties"], {"hw_rng:allowed": "true"}, "after unset")


def ServerListFilters(t):
    names = lambda *args: [s["Name"] for s in t.json("server", "list", *args)]
    for args, wanted in ((("--name", "web"), ["web1"]), (("--name", "other"), []), (("--status", "ACTIVE"), ["web1"]), (("--status", "SHUTOFF"), []),
                         (("--image", "blank"), ["web1"]), (("--flavor", "tiny"), ["web1"]), (("--host", "lab"), ["web1"]), (("--host", "x"), [])):
        equal(names(*args), wanted, f"server list {' '.join(args)}")
    row = t.json("server", "list", "--long")[0]
    equal((row["Task State"], row["Power State"], row["Image Name"], row["Image ID"], row["Host"]), (None, 1, "blank", t.image, "lab"), "server list --long")


def StopStartRebootWaitWhenAsked(t):
    t.done("server", "stop", "--wait", "web1")
    equal(t.json("server", "show", "web1")["status"], "SHUTOFF", "after stop")
    t.done("server", "start", "--wait", "web1")
    equal(t.json("server", "show", "web1")["status"], "ACTIVE", "after start")
    equal(t.done("server", "reboot", "--hard", "--wait", "web1"), "Complete\n", "reboot --wait")
    equal([e["Action"] for e in t.json("server", "event", "list", "web1")], ["reboot", "start", "stop", "create"], "events")
    t.done("server", "stop", "web1")  # without --wait it comes back at once
    t.agent.wait_status(t.server, "SHUTOFF")


def DisabledServiceTakesNoNewServers(t):
    t.done("compute", "service", "set", "--disable", "--disable-reason", "new disks", "lab", "nova-compute")
    row = t.json("compute", "service", "list", "--long")[0]
    equal((row["Host"], row["Binary"], row["Status"], row["State"], row["Disabled Reason"]), ("lab", "nova-compute", "disabled", "up", "new disks"), "service")
    says(t.fails(1, "server", "create", "--image", "blank", "--flavor", "tiny", "--nic", "none", "x"), "disabled (new disks)", "--enable")
    t.done("compute", "service", "set", "--enable", "lab", "nova-compute")
    row = t.json("compute", "service", "list", "--long")[0]
    equal((row["Status"], row["Disabled Reason"]), ("enabled", None), "service")
    says(t.fails(1, "compute", "service", "set", "--enable", "elsewhere", "nova-compute"), 'Compute service for host "elsewhere"')


def HypervisorTellsWhatIsUsed(t):
    shown, stats = t.json("hypervisor", "show", "lab"), t.json("hypervisor", "stats", "show")
    equal((shown["state"], shown["status"], shown["vcpus_used"], stats["vcpus_used"], stats["count"]), ("up", "enabled", 1, 1, 1), "hypervisor")
    equal(shown["vcpus"], os.cpu_count(), "CPUs")
    check(shown["virt_type"] in ("kvm", "qemu") and shown["memory_mb"] > 0 and shown["local_gb"] > 0, f"{shown}")


def ConsoleLogShowRefusesWhatItCannotShow(t):
    says(t.fails(1, "console", "log", "show", "nothing"), "No server")
    says(t.fails(2, "console", "log", "show", "--lines", "-1", "web1"), "negative")


# --- on a terminal

def ProgressIsShownOnATerminalAlone(t):
    shown = t.terminal("image", "create", "--disk-format", "raw", "--file", str(guest.RAW), "with-bar")
    says(shown, "100%", "\r")
    quiet = t.run("image", "create", "--disk-format", "raw", "--file", str(guest.RAW), "without-bar")
    equal((quiet.returncode, quiet.stderr), (0, ""), "image create without a terminal")
    shown = t.terminal("server", "create", "--image", "with-bar", "--flavor", "tiny", "--nic", "none", "--wait", "watched")
    says(shown, "watched: BUILD")
    t.done("server", "delete", "--wait", "watched")
    t.done("image", "delete", "with-bar", "without-bar")


# --- completion

def BashCompletionCompletesCommandsOptionsAndNames(t):
    script = t.scratch / "completion"
    script.write_text(t.done("complete"))

    def complete(*words):
        code = f"""set -eu
source {script}
[[ $(complete -p computectl) == *_computectl* ]]
COMP_WORDS=({' '.join(shlex.quote(w) for w in words)}); COMP_CWORD={len(words) - 1}
_computectl
printf '%s\\n' "${{COMPREPLY[@]}}" """
        done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, env={**os.environ, "PATH": f"{COMPUTECTL.parent}:{os.environ['PATH']}"})
        equal((done.returncode, done.stderr), (0, ""), f"completion of {words}")
        return sorted(done.stdout.split())

    equal(complete("computectl", "ser"), ["server"], "computectl ser<TAB>")
    equal(complete("computectl", "server", "st"), ["start", "stop"], "computectl server st<TAB>")
    equal(complete("computectl", "server", "event", ""), ["list", "show"], "computectl server event <TAB>")
    equal(complete("computectl", "server", "list", "--sta"), ["--status"], "options")
    equal(complete("computectl", "server", "list", "-f", "j"), ["json"], "values of -f")
    equal(complete("computectl", "server", "show", "we"), ["web1"], "names of servers")
    equal(complete("computectl", "image", "delete", ""), ["blank"], "names of images")
    installed = BUILD / "agent/ctl/completions/computectl"
    check(installed.exists() and installed.read_text() == script.read_text(), f"{installed} is not what computectl complete prints")


# --- the end

def DeleteCommandsRemove(t):
    t.done("server", "delete", "--wait", "web1")
    t.done("subnet", "delete", "sub1")
    t.done("network", "delete", "net1")
    t.done("keypair", "delete", "key1", "made-here")
    t.done("flavor", "delete", "tiny")
    t.done("image", "delete", "blank")
    for kind in ("server", "subnet", "network", "keypair", "flavor", "image"):
        equal(t.json(kind, "list"), [], f"{kind} list")
        equal(t.done(kind, "list").strip(), "", f"{kind} list as a table")


def AgentThatIsDownIsSaidClearly(t):
    equal(t.agent.stop(), 0, "exit status of the agent")
    says(t.fails(1, "server", "list"), "cannot connect to http://127.0.0.1:8774: Connection refused", "start the agent")
    says(t.fails(1, "server", "list", "--os-endpoint-override", "nonsense"), "does not start with http://")


CASES = [HelpNamesEveryCommand, EveryCommandHasHelpWithAnExampleThatIsUnderstood, CreateShowsWhatItMade, EveryListIsTheSameInEveryFormat,
         ColumnsAreTakenByName, NamesAndIdsBothWork, AmbiguousNameIsAnErrorThatListsTheIds, UsageErrorsEndWithTwo, FailuresEndWithOneAndSayWhatToDo,
         OneOfSeveralThatFailsDoesNotStopTheOthers, FailedBuildShowsItsFaultAndEndsWithOne, TokenProblemsAreSaidClearly, ImageSetChangesAndProtects,
         FlavorSetAddsAndUnsetTakesAway, ServerListFilters, StopStartRebootWaitWhenAsked, DisabledServiceTakesNoNewServers,
         HypervisorTellsWhatIsUsed, ConsoleLogShowRefusesWhatItCannotShow, ProgressIsShownOnATerminalAlone, BashCompletionCompletesCommandsOptionsAndNames,
         DeleteCommandsRemove, AgentThatIsDownIsSaidClearly]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        ctl = Ctl(scratch)
        ctl.agent.start()
        tap.run(CASES, ctl)
