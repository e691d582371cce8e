"""What every suite needs: clients of the gateway, and the door of the scripted provider behind it."""

import json
import os
import urllib.request

import openai

BASE_URL, KEY = os.environ["BASE_URL"], os.environ["API_KEY"]
UPSTREAM = os.environ["UPSTREAM_URL"]
HELLO = [{"role": "user", "content": "hello"}]
ANSWER = " w0 w1 w2 w3 w4"


def client(key=KEY, **options):
    """A client that tries once, unless it is told otherwise."""
    return openai.OpenAI(base_url=BASE_URL, api_key=key, **{"max_retries": 0, **options})


def _control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{UPSTREAM}/control/{path}", data) as answer:
        return json.load(answer)


def script_next(*scripts):
    """What the provider does with the next requests."""
    _control("next", scripts)


def seen():
    """Every request that reached the provider: `body`, and how its answer stands (`stage`, `output`)."""
    return _control("seen")


def sent():
    """The body of the last request that reached the provider."""
    return seen()[-1]["body"]


def status(number, body="{}", **headers):
    """A script that answers with this status."""
    pairs = [[name.replace("_", "-"), value] for name, value in headers.items()]
    return {"answer": {"verbatim": {"status": number, "headers": pairs, "body": body}}}


def refused(kind, number, code, call):
    """The call raises exactly this type, with this status and code; gives the error."""
    try:
        call()
    except kind as error:
        assert type(error) is kind, type(error)
        assert error.status_code == number, error
        assert error.code == code, error.code
        assert error.request_id, "an error carries the request's id"
        return error
    raise AssertionError(f"{code} was expected")
