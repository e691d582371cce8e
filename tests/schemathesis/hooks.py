"""Puts things that exist into some of the requests, and counts the answers."""

import atexit
import base64
import collections
import hashlib
import hmac
import json
import os
import random
import time

import schemathesis
from schemathesis.core import NOT_SET

with open(os.environ["HAITHE_HINTS"]) as file:
    HINTS = json.load(file)
DICE = random.Random(int(os.environ["HAITHE_SEED"]))
ANSWERS = collections.defaultdict(collections.Counter)


def pick(choices):
    return DICE.choice(choices)


def path_values(label):
    """Choices for the path's parameters: the operation's own, else those of its family."""
    own = HINTS["operations"].get(label, {}).get("path")
    if own:
        return own
    path = label.split(" ", 1)[1]
    for prefix, choices in HINTS["path"].items():
        if path.startswith(prefix):
            return {"id": choices}
    return {}


def sign(case, secret):
    """A message as Standard Webhooks signs it."""
    name, now, body = f"msg_{DICE.random()}".replace(".", "_"), str(int(time.time())), "hello"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{name}.{now}.{body}".encode(), hashlib.sha256).digest()
    case.body, case.media_type = body, "text/plain"
    case.headers = {
        **(case.headers or {}),
        "webhook-id": name,
        "webhook-timestamp": now,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


@schemathesis.hook
def before_call(context, case, kwargs):
    label = case.operation.label
    hint = HINTS["operations"].get(label, {})
    if "/v1beta/" in label and DICE.random() < 0.8:
        case.headers = {**(case.headers or {}), **HINTS["context"]}
    if DICE.random() < 0.8:
        for name, choices in path_values(label).items():
            case.path_parameters = {**(case.path_parameters or {}), name: pick(choices)}
    if "signed" in hint and DICE.random() < 0.4:
        sign(case, hint["signed"])
    # The same parameter in both places with two values is refused: mostly one place is used.
    if case.body is not NOT_SET and case.query and DICE.random() < 0.8:
        if DICE.random() < 0.5:
            case.query = {}
        else:
            case.body = NOT_SET
    # The name of another request is refused: mostly a fresh one is used.
    if "Idempotency-Key" in (case.headers or {}) and DICE.random() < 0.8:
        case.headers = {**case.headers, "Idempotency-Key": f"request {DICE.getrandbits(64)}"}
    if DICE.random() < 0.4:
        if "whole" in hint:
            case.body, case.query = pick(hint["whole"]), {}
            case.media_type = "application/json"
        elif "bytes" in hint:
            case.body, case.query = bytes.fromhex(pick(hint["bytes"])), {}
            case.media_type = "application/octet-stream"
        elif "body" in hint:
            body = case.body if isinstance(case.body, dict) else {}
            keep = body if DICE.random() < 0.5 else {}
            case.body = {**keep, **{name: pick(choices) for name, choices in hint["body"].items()}}
            case.query = {}
            case.media_type = "application/json"


@schemathesis.hook
def after_call(context, case, response):
    # Schemathesis also tries methods that an operation does not have.
    if response.request.method == case.operation.method.upper():
        ANSWERS[case.operation.label][str(response.status_code)] += 1


@atexit.register
def write_answers():
    with open(os.environ["HAITHE_ANSWERS"], "w") as file:
        json.dump(ANSWERS, file)
