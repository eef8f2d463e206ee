# An extension that says what it hears and, once in the life of its environment, does
# what PLOT says.
import json
import os
import sys
import time
import urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
NAME = os.path.basename(__file__)


def call(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(API + path, json.dumps(body).encode() if body is not None else None, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()


def plot(act):
    if os.environ.get("PLOT") != act:
        return False
    try:
        os.close(os.open("/tmp/done", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def fail(path):
    call("POST", path, {}, Lambda_Extension_Identifier=me, Lambda_Extension_Function_Error_Type="Plot.Twist")
    sys.exit(1)


if plot("die before register"):
    sys.exit(3)
answer, _ = call("POST", "register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name=NAME)
me = answer["Lambda-Extension-Identifier"]
if plot("init/error"):
    fail("init/error")
while True:
    _, text = call("GET", "event/next", Lambda_Extension_Identifier=me)
    event = json.loads(text)
    print(NAME, "hears", event["eventType"], *([event["shutdownReason"]] if "shutdownReason" in event else []), flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
    if plot("die in invoke"):
        sys.exit(4)
    if plot("exit/error"):
        fail("exit/error")
    if plot("never next"):
        time.sleep(3600)
