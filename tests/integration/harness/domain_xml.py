"""Compares a domain's XML with what nova wrote, in meaning: order of elements and attributes does not count."""
import xml.etree.ElementTree as xml

NOVA = "{http://openstack.org/xmlns/libvirt/nova/1.1}"

# What libvirt adds (to a live domain above all), or what differs on purpose. Dropped from both sides. "path/@name" is an attribute.
ALLOWED = {
    "alias": "libvirt names the devices of a live domain",
    "address": "libvirt places devices",
    "seclabel": "of a live domain; the lab has no security driver",
    "resource": "of a live domain: its cgroup",
    "backingStore": "of a live domain: libvirt follows the chain",
    "audio": "libvirt adds the default backend",
    "os/type/@machine": "libvirt expands the alias pc",
    "vcpu/@placement": "libvirt's default",
    "cpu": "a live domain has the model that host-model became; its definition is compared apart",
    "domain/@id": "of a live domain",
    "graphics/@port": "of a live domain: the port it got; -1 in the definition",
    "graphics/listen": "libvirt repeats the attribute as an element",
    "video/model/@heads": "libvirt's default",
    "video/model/@primary": "libvirt's default",
    "serial/target/@type": "libvirt's default on x86",
    "serial/target/model": "libvirt's default on x86",
    "serial/source": "of a live domain: its pty",
    "console/source": "of a live domain: its pty",
    "console/@tty": "of a live domain: its pty",
    "disk/source/@index": "of a live domain",
    "controller/@model": "libvirt names the model it chose",
    f"{NOVA}creationTime": "the time",
    f"{NOVA}package/@version": "ours",
    "sysinfo/system/entry[version]": "ours",
}


def _dropped(path):
    return any(("/" + path).endswith("/" + allowed) for allowed in ALLOWED)


def _step(element):
    return f"entry[{element.get('name')}]" if element.tag == "entry" else element.tag


def _meaning(element, path):
    words = [f"{name}='{value}'" for name, value in sorted(element.attrib.items()) if not _dropped(f"{path}/@{name}")]
    lines = [" ".join([path, *words, (element.text or "").strip()]).rstrip()]
    children = []
    for child in element:
        below = f"{path}/{_step(child)}"
        # Devices that libvirt adds by itself on x86, and the controllers that others need.
        added = (child.tag == "input" and child.get("bus") == "ps2") or (child.tag == "controller" and child.get("type") in ("pci", "ide"))
        if not added and not _dropped(below):
            children.append(_meaning(child, below))
    for child in sorted(children):
        lines += child
    return lines


def differences(ours, novas):
    """Lines that only one of the two XML texts has: "-" nova's, "+" ours."""
    mine, theirs = (_meaning(xml.fromstring(text), "domain") for text in (ours, novas))
    # The owner's names stand beside the ids; the agent knows ids alone.
    drop_names = lambda lines: [line.rsplit(" ", 1)[0] if "owner" in line and "uuid=" in line and not line.endswith("'") else line for line in lines]
    mine, theirs = drop_names(mine), drop_names(theirs)
    return [f"- {line}" for line in theirs if line not in mine] + [f"+ {line}" for line in mine if line not in theirs]
