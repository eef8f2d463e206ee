# An extension that subscribes by the older Logs API, over TCP, and keeps what it gets
# in /tmp/events, one event a line. It lets an invocation end when it knows that the
# runtime is done.
import json
import os
import queue
import socket
import threading
import urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]


def call(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(API + path, json.dumps(body).encode() if body else None, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()


done = queue.Queue()
listener = socket.create_server(("0.0.0.0", 4243))
kept = open("/tmp/events", "a")


def receive():
    connection, _ = listener.accept()
    for line in connection.makefile("r", encoding="utf-8"):
        kept.write(line)
        kept.flush()
        event = json.loads(line)
        if event["type"] == "platform.runtimeDone":
            done.put(event["record"]["requestId"])


threading.Thread(target=receive, daemon=True).start()
headers, _ = call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name=os.path.basename(__file__))
me = {"Lambda_Extension_Identifier": headers["Lambda-Extension-Identifier"]}
call("PUT", "/2020-08-15/logs", {
    "schemaVersion": "2021-03-18", "types": ["platform", "function", "extension"], "buffering": {"timeoutMs": 100},
    "destination": {"protocol": "TCP", "port": 4243},
}, **me)
while True:
    event = json.loads(call("GET", "/2020-01-01/extension/event/next", **me)[1])
    if event["eventType"] == "SHUTDOWN":
        break
    while done.get() != event["requestId"]:
        pass
