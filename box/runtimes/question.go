package runtimes

// What interpreters are asked. Both questions load what functions expect to find,
// so that the shared libraries which that needs are in the answer; both must parse
// on every version that a descriptor names.

// pythonQuestion makes any CPython say what it is. An interpreter of a virtual
// environment answers for the one that it was made from.
var pythonQuestion = []string{"-E", "-S", "-c", `
import json, os, platform, sys
import sysconfig
lacking = []
for name in ("ssl", "sqlite3", "ctypes", "zlib", "hashlib", "bz2", "socket"):
    try:
        __import__(name)
    except Exception as error:
        lacking.append("%s (%s)" % (name, error))
prefix = os.path.realpath(getattr(sys, "real_prefix", getattr(sys, "base_prefix", sys.prefix)))
program = os.path.realpath(sys.executable)
minor = "%d.%d" % sys.version_info[:2]
if os.path.exists(os.path.join(prefix, "bin", "python" + minor)):
    program = os.path.realpath(os.path.join(prefix, "bin", "python" + minor))
libraries = []
for module in (os, sysconfig.sys.modules.get("_ctypes") or os, json):
    home = getattr(module, "__file__", None)
    if not home:
        continue
    home = os.path.realpath(os.path.dirname(home))
    while os.path.dirname(home) != home and not os.path.basename(home).startswith("python" + minor):
        home = os.path.dirname(home)
    if os.path.dirname(home) != home and home not in libraries:
        libraries.append(home)
shared = []
with open("/proc/self/maps") as maps:
    for line in maps:
        name = line.rstrip("\n").split(None, 5)[5:]
        if name and name[0].startswith("/") and ".so" in name[0] and name[0] not in shared:
            shared.append(name[0])
flags = getattr(sys, "abiflags", "")
version = "%d.%d.%d" % sys.version_info[:3]
if sys.version_info[3] != "final":
    version += {"alpha": "a", "beta": "b", "candidate": "rc"}[sys.version_info[3]] + str(sys.version_info[4])
machine = platform.machine()
print(json.dumps({
    "implementation": platform.python_implementation().lower(),
    "version": version,
    "program": program,
    "prefix": prefix,
    "libraries": libraries,
    "shared": shared,
    "lacking": lacking,
    "machine": {"aarch64": "arm64"}.get(machine, machine) if sys.maxsize > 2**32 else "32 bit",
    "flavour": "free-threaded" if "t" in flags else "debug" if "d" in flags else "",
}))
`}

// nodeQuestion makes any Node.js say what it is. Reports came with version 11; what
// an older one has loaded stands in its memory map.
var nodeQuestion = []string{"-e", `
const fs = require('fs');
const lacking = [];
for (const name of ['crypto', 'https', 'zlib']) {
  try { require(name); } catch (error) { lacking.push(name + ' (' + error.message + ')'); }
}
const shared = [];
for (const line of fs.readFileSync('/proc/self/maps', 'utf8').split('\n')) {
  const name = line.split(/\s+/).slice(5).join(' ');
  if (name.startsWith('/') && name.includes('.so') && !shared.includes(name)) shared.push(name);
}
const program = fs.realpathSync(process.execPath);
console.log(JSON.stringify({
  implementation: process.versions.bun ? 'bun' : process.release.name,
  version: process.versions.node,
  program,
  prefix: require('path').dirname(require('path').dirname(program)),
  libraries: [],
  shared,
  lacking,
  machine: {x64: 'x86_64'}[process.arch] || process.arch,
  flavour: process.config.variables && process.config.target_defaults.default_configuration === 'Debug' ? 'debug' : '',
}));
`}

// pythonProbe and nodeProbe load in the box what functions expect.
var (
	pythonProbe = []string{"-S", "-c", "import ssl, sqlite3, ctypes, zlib, hashlib; ssl.create_default_context(); hashlib.sha256(b'')"}
	nodeProbe   = []string{"-e", "require('crypto').createHash('sha256').update('').digest(); require('https'); require('zlib')"}
)
