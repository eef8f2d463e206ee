"""A function that looks for what it can reach outside; its event says how."""
import errno
import os
import socket
import ssl
import struct
import threading
import urllib.request

kept = {}  # connections that outlast an invocation


def fetch(event):
    """The text at a URL. The server of the test signs itself."""
    trust = ssl.create_default_context(cafile=os.environ["LAMBDA_TASK_ROOT"] + "/ca.pem")
    with urllib.request.urlopen(event["url"], timeout=10, context=trust) as answer:
        return answer.read().decode()


def api(event):
    """Where kiln's own API is, and what it says to this function."""
    url = os.environ["AWS_ENDPOINT_URL"]
    request = urllib.request.Request(url + "/2015-03-31/functions/", headers={"X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return [url, answer.status]


def reach(event):
    """For each address: "open", or why not."""
    found = {}
    for address in event["addresses"]:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
            found[address] = "open"
        except OSError as e:
            found[address] = errno.errorcode.get(e.errno, type(e).__name__)
    return found


def lookup(event):
    """The code of the name server's own answer, by UDP."""
    name = b"".join(bytes([len(p)]) + p.encode() for p in event["name"].split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1), (resolver(), 53))
        return s.recv(4096)[3] & 15


def resolver():
    """What the C library would ask."""
    with open("/etc/resolv.conf") as f:
        return [line.split()[1] for line in f if line.startswith("nameserver")][0]


def listen(event):
    """Listens on every address and gives the one towards the outside."""
    l = socket.create_server(("0.0.0.0", event["port"]))
    threading.Thread(target=accept, args=(l,), daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((event["towards"], 9))
        return s.getsockname()[0]


def accept(l):
    while True:
        l.accept()[0].close()


def hold(event):
    """Opens a connection that stays, and gives the first line that it hears."""
    c = socket.create_connection((event["host"], event["port"]), timeout=20)
    kept["file"] = c.makefile("rw")
    return kept["file"].readline()


def go_on(event):
    """Hears what came meanwhile, says something, and hears the answer."""
    f = kept["file"]
    heard = f.readline()
    f.write("back\n")
    f.flush()
    return [heard, f.readline()]


def handler(event, context):
    return globals()[event["do"]](event)
