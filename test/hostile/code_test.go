package hostile_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/test/harness"
)

// Code that is not hostile: what a sandbox takes from attackers it must not take
// from ordinary programs, which list network interfaces, start threads and
// processes, share memory, and bring compiled libraries along.

// install runs a package manager three times at most: a registry may hiccup.
func install(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	var out []byte
	var err error
	for range 3 {
		cmd := exec.CommandContext(harness.Within(t, 5*time.Minute), name, args...)
		cmd.Dir = dir
		if out, err = cmd.CombinedOutput(); err == nil {
			return
		}
	}
	t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
}

// decode reads a JSON answer.
func decode[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestPythonListsInterfacesAndUsesProcesses(t *testing.T) {
	x := common(t).trial(t)
	name := x.name(t, "")
	harness.Create(t, x.client, name, needPython(t), "app.handler", harness.Zip(t, harness.File{Name: "app.py", Text: `
import concurrent.futures, multiprocessing, os, socket, subprocess, tempfile, threading

def square(n):
    return n * n

def handler(event, context):
    out = {"interfaces": [n for _, n in socket.if_nameindex()]}
    ask, tell = multiprocessing.Pipe()
    queue = multiprocessing.Queue()
    value = multiprocessing.Value("i", 0)
    def child():
        tell.send(os.getppid() == parent)
        queue.put("from a child")
        with value.get_lock():
            value.value += 1
    parent = os.getpid()
    children = [multiprocessing.get_context("fork").Process(target=child) for _ in range(4)]
    for c in children: c.start()
    out["parents"] = [ask.recv() for _ in children]
    out["queue"] = [queue.get(timeout=20) for _ in children]
    for c in children: c.join(20)
    out["exit"] = [c.exitcode for c in children]
    out["value"] = value.value
    with multiprocessing.Pool(2) as pool:
        out["pool"] = pool.map(square, range(8))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        out["threads"] = sum(threads.map(square, range(100)))
    out["shell"] = subprocess.run("echo $((6*7)); id -u", shell=True, capture_output=True, text=True).stdout.split()
    out["uid"] = os.getuid()
    with tempfile.NamedTemporaryFile() as f:
        out["tmp"] = f.name.startswith("/tmp/")
    return out
`}), harness.Memory(512), harness.Timeout(60))
	for range 2 {
		got := decode[struct {
			Interfaces, Queue, Shell []string
			Parents                  []bool
			Exit, Pool               []int
			Value, Threads, UID      int
			Tmp                      bool
		}](t, harness.Answer(t, x.client, name, `{}`))
		if !slices.Contains(got.Interfaces, "lo") {
			t.Errorf("interfaces: %v", got.Interfaces)
		}
		if len(got.Queue) != 4 || len(got.Exit) != 4 || got.Exit[0] != 0 || got.Value != 4 || !got.Parents[0] {
			t.Errorf("processes: %+v", got)
		}
		if len(got.Pool) != 8 || got.Pool[7] != 49 || got.Threads != 328350 || !got.Tmp || len(got.Shell) != 2 || got.Shell[0] != "42" {
			t.Errorf("got %+v", got)
		}
	}
}

func TestNodeListsInterfacesAndUsesWorkerThreads(t *testing.T) {
	x := common(t).trial(t)
	name := x.name(t, "")
	harness.Create(t, x.client, name, needNode(t), "index.handler", harness.Zip(t, harness.File{Name: "index.mjs", Text: `
import os from 'node:os';
import { promises as fs } from 'node:fs';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

if (!isMainThread) {
  const shared = new Int32Array(workerData.shared);
  for (let i = 0; i < 1000; i++) Atomics.add(shared, 0, 1);
  parentPort.postMessage(workerData.n * workerData.n);
}
export const handler = async () => {
  const shared = new SharedArrayBuffer(4);
  const squares = await Promise.all([1, 2, 3, 4].map((n) => new Promise((resolve, reject) => {
    const w = new Worker(new URL(import.meta.url), { workerData: { n, shared } });
    w.once('message', resolve); w.once('error', reject);
  })));
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', 'console.log(6*7)']);
  await fs.writeFile('/tmp/x', 'x');
  return { interfaces: Object.keys(os.networkInterfaces()), squares, shared: new Int32Array(shared)[0], child: stdout.trim(), cpus: os.cpus().length, home: os.tmpdir() };
};
`}), harness.Memory(512), harness.Timeout(60))
	got := decode[struct {
		Interfaces   []string
		Squares      []int
		Shared, CPUs int
		Child        string
	}](t, harness.Answer(t, x.client, name, `{}`))
	if !slices.Contains(got.Interfaces, "lo") || len(got.Squares) != 4 || got.Squares[3] != 16 || got.Shared != 4000 || got.Child != "42" || got.CPUs == 0 {
		t.Errorf("got %+v", got)
	}
}

// A Java runtime comes in a later step; the JVM of the host, as a custom runtime,
// already meets the sandbox.
func TestAJVMListsInterfacesAndUsesThreads(t *testing.T) {
	x := common(t).trial(t)
	dir := t.TempDir()
	install(t, dir, "javac", "-d", dir, "--release", "11", abs(t, "testdata/Interfaces.java"))
	class, err := os.ReadFile(filepath.Join(dir, "Interfaces.class"))
	if err != nil {
		t.Fatal(err)
	}
	name := x.name(t, "")
	bootstrap := "#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx64m -cp /var/task Interfaces\n"
	harness.Create(t, x.client, name, "provided.al2023", "Interfaces", harness.Zip(t, harness.File{Name: "bootstrap", Text: bootstrap, Mode: 0o755}, harness.File{Name: "Interfaces.class", Text: string(class)}),
		harness.Memory(1024), harness.Timeout(60))
	got := decode[struct {
		Interfaces []string
		Threads    int
		Host       string
	}](t, harness.Answer(t, x.client, name, `{}`))
	if !slices.Contains(got.Interfaces, "lo") || got.Threads != 10_000 {
		t.Errorf("got %+v", got)
	}
}

// abs is a path of this folder as others see it.
func abs(t testing.TB, path string) string {
	t.Helper()
	a, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pip installs packages for a runtime from wheels, as whoever packs a function does.
func pip(t testing.TB, dir, runtime string, packages ...string) {
	t.Helper()
	python := "../../.cache/venv/bin/python"
	if _, err := os.Stat(python); err != nil {
		t.Fatal("run test/setup.sh first: it makes the Python environment of the tests")
	}
	install(t, dir, abs(t, python), append([]string{"-m", "pip", "install", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:",
		"--python-version", strings.TrimPrefix(runtime, "python"), "--implementation", "cp", "--target", dir}, packages...)...)
}

func TestPythonComputesWithNumpyAndACompiledWheel(t *testing.T) {
	x := common(t).trial(t)
	runtime := needPython(t)
	dir := t.TempDir()
	pip(t, dir, runtime, "numpy", "msgpack")
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(`
import msgpack, numpy as np, os
from msgpack import _cmsgpack

def handler(event, context):
    a = np.arange(250000, dtype=np.float64).reshape(500, 500) % 7
    inverse = np.linalg.inv(a + 1000 * np.eye(500))
    good = bool(np.allclose((a + 1000 * np.eye(500)) @ inverse, np.eye(500)))
    np.save("/tmp/a.npy", a)
    mapped = np.load("/tmp/a.npy", mmap_mode="r")
    packed = msgpack.packb({"n": event["n"], "sum": float(mapped.sum())})
    return {"good": good, "back": msgpack.unpackb(packed), "compiled": _cmsgpack.__file__.startswith("/var/task/")}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	name := x.name(t, "")
	harness.Create(t, x.client, name, runtime, "app.handler", harness.ZipDir(t, dir), harness.Memory(512), harness.Timeout(60))
	// Of 250,000 numbers counted round from 0 to 6 there are 35,714 rounds of 21, and 0 and 1.
	want := `{"good": true, "back": {"n": 7, "sum": 749995.0}, "compiled": true}`
	for range 3 {
		if got := harness.Answer(t, x.client, name, `{"n":7}`); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestNodeResizesAPictureWithSharp(t *testing.T) {
	x := common(t).trial(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"package.json": `{"name":"fn","version":"1.0.0","type":"module"}`,
		"index.mjs": `import sharp from 'sharp';
export const handler = async () => {
  const png = await sharp({ create: { width: 64, height: 32, channels: 3, background: { r: 200, g: 100, b: 50 } } }).png().toBuffer();
  const { info, data } = await sharp(png).resize(16).jpeg().toBuffer({ resolveWithObject: true });
  await sharp(png).rotate(90).toFile('/tmp/turned.webp');
  const turned = await sharp('/tmp/turned.webp').metadata();
  return { width: info.width, height: info.height, format: info.format, jpeg: data[0] === 0xff && data[1] === 0xd8, turned: [turned.width, turned.height, turned.format] };
};
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runtime := needNode(t)
	install(t, dir, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--omit=dev", "sharp@0.33.5")
	name := x.name(t, "")
	harness.Create(t, x.client, name, runtime, "index.handler", harness.ZipDir(t, dir), harness.Memory(512), harness.Timeout(60))
	want := `{"width":16,"height":8,"format":"jpeg","jpeg":true,"turned":[32,64,"webp"]}`
	for range 3 {
		if got := harness.Answer(t, x.client, name, `{}`); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}
