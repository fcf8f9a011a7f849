#!/usr/bin/env bash
# demo-image.sh OUTDIR: makes a small bootable guest image in OUTDIR, as demo.qcow2 and demo.raw.
# Debian's cloud kernel, its virtio modules, busybox and the few scripts in scripts/demo-guest. The kernel package is
# unpacked, not installed; no mounts and no loop devices are needed. A second run with the same inputs does nothing.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in
    -h | --help)
        sed -n '2,4s/^# //p' "$0"
        exit 0
        ;;
    '') die "no folder given" "run: $0 OUTDIR" ;;
esac
GUEST=$TOP/scripts/demo-guest
IMAGE_MIB=64
SECTORS_BEFORE=2048
# Modules named here are loaded in this order, each after what it depends on.
MODULES=(virtio_ring virtio virtio_pci virtio_blk virtio_net virtio_scsi sd_mod virtio-rng virtio_balloon
    virtio_console ata_piix sr_mod isofs button evdev)

mkdir -p "$1"
OUT=$(cd "$1" && pwd)
for tool in busybox syslinux mformat mcopy qemu-img; do
    command -v $tool > /dev/null || die "$tool is missing" "run: scripts/install-deps.sh image"
done
[ -f /usr/lib/SYSLINUX/mbr.bin ] || die "/usr/lib/SYSLINUX/mbr.bin is missing" "run: scripts/install-deps.sh image"

kernel_package() {
    apt-cache depends linux-image-cloud-amd64 2> /dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }'
}
candidate() { apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2; exit }'; }

inputs_digest() { # what the image is made of
    {
        echo "kernel $KERNEL $KERNEL_VERSION"
        dpkg-query -W -f '${Package} ${Version}\n' busybox-static syslinux-common
        cat "$0" "$GUEST"/*
    } | sha256sum | cut -c 1-64
}

fetch() { (cd "$WORK" && apt-get -q -o APT::Sandbox::User=root download "$KERNEL=$KERNEL_VERSION") > "$WORK/fetch.log" 2>&1; }

unpack_kernel() { # from OUT/cache, where it is fetched to once per version
    local deb="$OUT/cache/${KERNEL}_${KERNEL_VERSION//:/%3a}_amd64.deb"
    if [ ! -s "$deb" ]; then
        note "fetching $KERNEL $KERNEL_VERSION"
        # A package index from yesterday may name a version that the mirror has replaced since.
        if ! fetch; then
            apt_run update > /dev/null 2>&1 || true
            KERNEL_VERSION=$(candidate "$KERNEL")
            deb="$OUT/cache/${KERNEL}_${KERNEL_VERSION//:/%3a}_amd64.deb"
            if ! fetch && [ -f "$OUT/demo.stamp" ]; then
                warn "cannot download $KERNEL; the image made earlier is kept"
                exit 0
            fi
        fi
        [ -n "$(find "$WORK" -name '*.deb')" ] ||
            die "cannot download $KERNEL: $(tail -n 1 "$WORK/fetch.log")" "check the network and /etc/apt/sources.list.d, then run this again"
        mkdir -p "$OUT/cache"
        rm -f "$OUT"/cache/*.deb
        mv "$WORK"/*.deb "$deb"
    fi
    dpkg-deb -x "$deb" "$WORK/kernel"
    RELEASE=$(ls "$WORK/kernel/lib/modules")
    busybox depmod -b "$WORK/kernel" "$RELEASE"
}

# Prints the file of a module and, before it, of all that it needs.
module_order() { # MODULE
    local file name=${1//-/_} dep
    file=$(awk -F : -v want="$name" '{ n = $1; sub(/.*\//, "", n); sub(/\.ko$/, "", n); gsub(/-/, "_", n); if (n == want) { print $1; exit } }' "$DEP")
    [ -n "$file" ] || die "$KERNEL has no module $1" "report this with the kernel's version; the list is in $0"
    [ -z "${SEEN[$file]:-}" ] || return 0
    SEEN[$file]=1
    while read -r dep; do
        dep=${dep##*/}
        module_order "${dep%.ko}"
    done < <(awk -F ': *' -v file="$file" '$1 == file { gsub(/ /, "\n", $2); print $2; exit }' "$DEP" | grep .)
    echo "$file" >> "$WORK/order"
}

make_initramfs() {
    local root=$WORK/root file applet
    mkdir -p "$root"/{bin,dev,proc,sys,run,config,tmp,lib/modules,www/cgi-bin,etc/acpi/PWRF}
    cp /bin/busybox "$root/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    cp "$GUEST/init" "$root/init"
    cp "$GUEST/inittab" "$GUEST/rc" "$GUEST/udhcpc.script" "$GUEST/json.awk" "$root/etc/"
    cp "$GUEST/block-event" "$root/etc/block-event"
    cp "$GUEST/index.cgi" "$root/www/cgi-bin/index.cgi"
    cp "$GUEST/power-button" "$root/etc/acpi/PWRF/00000080"
    chmod 0755 "$root/init" "$root/etc/rc" "$root/etc/block-event" "$root/etc/udhcpc.script" "$root/www/cgi-bin/index.cgi" "$root/etc/acpi/PWRF/00000080"
    DEP=$WORK/kernel/lib/modules/$RELEASE/modules.dep
    declare -gA SEEN=()
    : > "$WORK/order"
    for file in "${MODULES[@]}"; do module_order "$file"; done
    while read -r file; do
        cp "$WORK/kernel/lib/modules/$RELEASE/$file" "$root/lib/modules/"
        echo "${file##*/}"
    done < "$WORK/order" > "$root/etc/modules.order"
    (cd "$root" && find . | LC_ALL=C sort | busybox cpio -o -H newc -R 0:0 2> /dev/null) | gzip -1 -n > "$WORK/initrd"
}

little_endian() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }

make_disk() {
    local raw=$WORK/demo.raw sectors=$((IMAGE_MIB * 2048 - SECTORS_BEFORE))
    truncate -s ${IMAGE_MIB}M "$raw"
    # Boot sector: syslinux' code, one active FAT16 (LBA) partition, signature.
    dd if=/usr/lib/SYSLINUX/mbr.bin of="$raw" conv=notrunc status=none
    # shellcheck disable=SC2059
    {
        printf '\x80\xfe\xff\xff\x0e\xfe\xff\xff'
        printf "$(little_endian $SECTORS_BEFORE)$(little_endian $sectors)"
    } | dd of="$raw" bs=1 seek=446 conv=notrunc status=none
    printf '\x55\xaa' | dd of="$raw" bs=1 seek=510 conv=notrunc status=none
    mformat -i "$raw@@1M" -T $sectors -h 64 -s 32 -H $SECTORS_BEFORE -v DEMO ::
    cat > "$WORK/syslinux.cfg" << 'CONFIG'
DEFAULT demo
PROMPT 0
TIMEOUT 0
LABEL demo
  KERNEL /vmlinuz
  INITRD /initrd
  APPEND console=ttyS0,115200 quiet panic=5 mitigations=off
CONFIG
    mcopy -i "$raw@@1M" "$WORK"/kernel/boot/vmlinuz-* ::vmlinuz
    mcopy -i "$raw@@1M" "$WORK/initrd" "$WORK/syslinux.cfg" ::
    syslinux --install --offset $((SECTORS_BEFORE * 512)) "$raw"
    qemu-img convert -f raw -O qcow2 -c "$raw" "$WORK/demo.qcow2"
}

KERNEL=$(kernel_package)
if [ -z "$KERNEL" ]; then
    apt_run update > /dev/null 2>&1 || true
    KERNEL=$(kernel_package)
fi
KERNEL_VERSION=""
[ -z "$KERNEL" ] || KERNEL_VERSION=$(candidate "$KERNEL")
if [ -f "$OUT/demo.stamp" ] && [ -f "$OUT/demo.raw" ] && [ -f "$OUT/demo.qcow2" ] &&
    { [ -z "$KERNEL" ] || [ "$(cat "$OUT/demo.stamp")" = "$(inputs_digest)" ]; }; then
    note "$OUT/demo.qcow2 is up to date"
    exit 0
fi
[ -n "$KERNEL" ] || die "apt knows no package linux-image-cloud-amd64" "check /etc/apt/sources.list.d (Debian 12, component main) and the network, then run 'apt-get update'"

WORK=$(mktemp -d "$OUT/work.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
unpack_kernel
make_initramfs
make_disk
rm -f "$OUT/demo.stamp"
mv "$WORK/demo.raw" "$OUT/demo.raw"
mv "$WORK/demo.qcow2" "$OUT/demo.qcow2"
inputs_digest > "$OUT/demo.stamp"
note "made $OUT/demo.qcow2 ($(du -k "$OUT/demo.qcow2" | cut -f 1) KiB) and demo.raw ($IMAGE_MIB MiB), kernel $RELEASE"
