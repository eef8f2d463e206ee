#!/usr/bin/env bash
# The sandbox on a host whose control groups are of version 2 alone: a Debian kernel
# in a QEMU guest with 2 GB, by software emulation, so that it works on any machine.
# The tests run in three layouts, one boot each, with two logs in .cache/v2:
#   session    as in a root shell of a systemd host: a group that is nobody's to divide
#   delegated  as a service with Delegate=yes that has more than one process
#   container  as in a privileged container: the root of a control group namespace
#
#   test/v2.sh             all of them
#   test/v2.sh LAYOUT…     only these
# V2_RUN is a pattern of tests, V2_LIMIT the time for one boot (default 40m).
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
cache=$PWD/.cache/v2
layouts=${*:-session delegated container}
for l in $layouts; do
	case $l in session | delegated | container) ;; *) echo "v2: no layout $l" >&2; exit 2 ;; esac
done
[ "$(uname -m)" = x86_64 ] || { echo "v2: the guest is x86_64, and emulating it elsewhere takes too long" >&2; exit 1; }
mkdir -p "$cache"
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need mkfs.ext4 e2fsprogs
need unshare util-linux
need xz xz-utils
need newuidmap uidmap
need setfattr attr
if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" = 0 ] || { echo "v2: as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
	apt-get update >"$cache/setup.log" 2>&1 || { cat "$cache/setup.log" >&2; exit 1; }
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$cache/setup.log" 2>&1 ||
		{ tail -n 20 "$cache/setup.log" >&2; exit 1; }
fi
PATH=$PATH:/usr/sbin:/sbin
if ldd "$(command -v busybox)" >/dev/null 2>&1; then
	echo "v2: busybox is not static: install busybox-static" >&2
	exit 1
fi

# The kernel is unpacked and not installed. It stays in the cache under its name.
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ {print $2; exit}')
[ -n "$package" ] || { echo "v2: no package linux-image-cloud-amd64: run apt-get update" >&2; exit 1; }
kernel=$cache/$package
if [ ! -e "$kernel/done" ]; then
	rm -rf "$kernel" && mkdir -p "$kernel"
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package" >download.log 2>&1) ||
		{ cat "$work/download.log" >&2; exit 1; }
	dpkg-deb -x "$work"/"$package"_*.deb "$kernel"
	rm -f "$work"/*.deb
	find "$kernel" -name '*.ko.xz' -exec xz -d {} +
	version=$(ls "$kernel/lib/modules")
	busybox depmod -b "$kernel" "$version"
	touch "$kernel/done"
fi
version=$(ls "$kernel/lib/modules")

# The guest's disk: a shell, the modules, mkfs.ext4 and the tests.
root=$work/root
mkdir -p "$root"/{bin,sbin,lib,usr/bin,usr/sbin,dev,proc,sys,tmp,etc,tests}
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
copy() { # copy PROGRAM TO: with its libraries
	local file
	cp -L "$1" "$root/$2"
	for file in $(ldd "$1" | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$file")" && cp -L "$file" "$root$file"
	done
}
copy "$(command -v mkfs.ext4)" /usr/sbin/mkfs.ext4
copy "$(command -v unshare)" /usr/bin/unshare
copy "$(command -v setfattr)" /usr/bin/setfattr
for program in newuidmap newgidmap; do
	copy "$(command -v $program)" /usr/bin/$program
	chmod u+s "$root/usr/bin/$program"
done
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
touch "$root/etc/subuid" "$root/etc/subgid"
[ ! -e /etc/mke2fs.conf ] || cp /etc/mke2fs.conf "$root/etc/"
cp -r "$kernel/lib/modules" "$root/lib/"
ln -s /bin/busybox "$root/sbin/modprobe" # by which the kernel loads what it lacks
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
nice go test -c -o "$root/tests/sandbox" ./box/sandbox/linux
nice go test -c -o "$root/tests/environment" ./box/environment
cp -r box/sandbox/linux/*.elf box/environment/testdata "$root/tests/" # what tests read beside them
nice go build -o "$root/tests/probe" ./box/sandbox/sandboxtest/testdata/probe
nice go build -o "$root/tests/guest/bootstrap" ./box/environment/testdata/guest

# What the guest does. The variables layout and pattern come by the command line of
# its kernel; results go to the second serial line.
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
exec >/dev/ttyS1 2>&1
for m in loop overlay veth tun nf_tables; do modprobe $m || echo "no module $m"; done
ip link set lo up
groups=/sys/fs/cgroup
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 $groups
export HOME=/root KILN_TEST_PROBE=/tests/probe KILN_TEST_GUEST=/tests/guest/bootstrap
echo "kernel $(uname -r), controllers $(cat $groups/cgroup.controllers)"
cat >/tests/run <<'RUN'
#!/bin/sh
for name in $tests; do
	cd /tests
	only=${pattern:-$usual}
	if [ $name = environment ]; then only=${pattern:-^TestInARealBox$}; fi
	./$name -test.v -test.timeout 30m -test.run "$only"
	echo "== $name exit=$?"
done
RUN
chmod +x /tests/run
all="cpu memory pids io"
usual=
kept='TheDriverKeepsTheContract|KillingTheServer.*|TheSweepKills.*'
case $layout in
session)
	mkdir -p $groups/user.slice/session-1.scope
	tests="sandbox environment"
	group=$groups/user.slice/session-1.scope ;;
delegated) # a service manager hands it controllers, marks it, and leaves its processes in it
	tests=sandbox
	usual="^Test($kept|ADelegatedGroup.*|AGroupThatIsNot.*)\$"
	group=$groups/system.slice/kiln.service
	for c in $all; do echo +$c >$groups/cgroup.subtree_control; done
	mkdir -p $groups/system.slice
	for c in $all; do echo +$c >$groups/system.slice/cgroup.subtree_control; done
	mkdir $group
	setfattr -n trusted.delegate -v 1 $group || echo "the group cannot be marked"
	sleep 100000 &
	echo $! >$group/cgroup.procs ;;
container)
	tests=sandbox
	usual="^Test($kept)\$"
	group=$groups/docker/0123456789abcdef
	for c in $all; do echo +$c >$groups/cgroup.subtree_control; done
	mkdir -p $groups/docker
	for c in $all; do echo +$c >$groups/docker/cgroup.subtree_control; done
	mkdir $group
	sleep 100000 &
	echo $! >$group/cgroup.procs ;;
esac
export tests pattern usual
echo "== layout $layout"
if [ $layout = container ]; then
	sh -c "echo \$\$ >$group/cgroup.procs; exec /usr/bin/unshare -C -m sh -c 'umount $groups; mount -t cgroup2 cgroup2 $groups; exec /tests/run'"
else
	sh -c "echo \$\$ >$group/cgroup.procs; exec /tests/run"
fi
echo "== left $(find $groups -name 'kiln-*' ! -name kiln-server | tr '\n' ' ')"
sync
poweroff -f
INIT
chmod +x "$root/init"

# What comes before it: load the driver of the disk and go there. The file system of an
# initramfs cannot be left by pivot_root, so that no host works on it.
first=$work/first
mkdir -p "$first"/{bin,dev,proc,root,lib/modules/"$version"} && cp "$root/bin/busybox" "$first/bin/"
for m in virtio_pci virtio_blk; do
	line=$(grep "/$m\.ko:" "$kernel/lib/modules/$version/modules.dep") || continue # built in
	echo "$line" >>"$first/lib/modules/$version/modules.dep"
	for file in ${line/:/}; do
		mkdir -p "$first/lib/modules/$version/$(dirname "$file")"
		cp "$kernel/lib/modules/$version/$file" "$first/lib/modules/$version/$file"
	done
done
cat >"$first/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t proc proc /proc
for m in virtio_pci virtio_blk; do /bin/busybox modprobe $m; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /proc
exec /bin/busybox switch_root /root /init
INIT
chmod +x "$first/init"
(cd "$first" && find . | busybox cpio -o -H newc >"$work/initramfs") 2>/dev/null

passed=0 failed=0 broken=0
for layout in $layouts; do
	results=$cache/$layout.log console=$cache/$layout.console
	echo "== boot $version, layout $layout"
	truncate -s 4G "$work/disk"
	mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$work/disk"
	code=0
	timeout "${V2_LIMIT:-40m}" nice -n 15 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all random.trust_cpu=on layout=$layout ${V2_RUN:+pattern=$V2_RUN}" \
		-drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" -serial "file:$console" -chardev stdio,id=out,signal=off -serial chardev:out \
		</dev/null | tr -d '\r' | tee "$results" | grep --line-buffered -E '^(== |--- |kernel|no module|panic:|FAIL)|^ *--- (FAIL|SKIP)' || code=$?
	rm -f "$work/disk"
	passed=$((passed + $(grep -cE '^ *--- PASS' "$results" || true)))
	failed=$((failed + $(grep -cE '^ *--- FAIL' "$results" || true)))
	programs=$([ "$layout" = session ] && echo 2 || echo 1)
	limits=0 # a driver that does not claim a limit is not asked to keep it: here it must claim all
	for claim in 'memory_beyond_the_limit' 'the_CPU_quota' 'a_fork_bomb' 'busy_threads_gain_no' 'writing_500_MB'; do
		grep -q -- "--- PASS: TestTheDriverKeepsTheContract/isolation/$claim" "$results" && limits=$((limits + 1))
	done
	if [ "$(grep -c '^== .* exit=0$' "$results")" != "$programs" ] || ! grep -q '^== left $' "$results" ||
		{ [ -z "${V2_RUN:-}" ] && [ $limits != 5 ]; }; then
		broken=1
		echo "v2: layout $layout did not end well (code $code, $limits of 5 limits tried); see $results and $console" >&2
		grep -E -A 12 '^ *--- FAIL|^panic:' "$results" | head -n 200 || true
		tail -n 5 "$console" || true
	fi
done
echo "$passed passed, $failed failed, in $((SECONDS - began)) s"
[ $broken = 0 ] && [ $failed = 0 ] && [ $passed -gt 0 ]
