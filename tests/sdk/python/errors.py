"""The official Python SDK: its own types of errors, tries again, limits of time, streams that break."""

import os
import time

import openai
from stage import ANSWER, HELLO, client, refused, script_next, seen, status

sdk = client()


def ask(who=sdk, model="per-token", messages=HELLO, **options):
    return who.chat.completions.create(model=model, messages=messages, **options)


# Each refusal has the type that programs catch.
wrong = client("sk-wrong")
refused(openai.AuthenticationError, 401, "invalid_api_key", lambda: list(wrong.models.list()))
refused(openai.AuthenticationError, 401, "invalid_api_key", lambda: ask(wrong))
refused(openai.NotFoundError, 404, "model_not_found", lambda: ask(model="gpt-9"))
refused(openai.NotFoundError, 404, "model_not_found", lambda: sdk.models.retrieve("gpt-9"))
refused(openai.PermissionDeniedError, 403, "model_not_enabled", lambda: ask(model="dead"))
error = refused(openai.BadRequestError, 400, "invalid_request", lambda: ask(n=99))
assert error.param == "n" and error.type == "invalid_request_error", error
refused(openai.BadRequestError, 400, "invalid_request", lambda: ask(messages=[]))
refused(openai.BadRequestError, 400, "unsupported_parameter", lambda: ask(service_tier="flex"))
refused(openai.BadRequestError, 400, "unsupported_parameter", lambda: ask(stream=True, audio={"voice": "ash", "format": "wav"}))
refused(openai.BadRequestError, 400, "invalid_request", lambda: sdk.embeddings.create(model="per-token", input="a"))
poor = client(os.environ["POOR_API_KEY"])
for stream in [False, True]:
    error = refused(openai.APIStatusError, 402, "insufficient_quota", lambda: ask(poor, stream=stream))
    assert error.type == "insufficient_quota", error
limited = client(os.environ["LIMITED_API_KEY"])
ask(limited)
error = refused(openai.RateLimitError, 429, "rate_limited", lambda: ask(limited))
assert int(error.response.headers["retry-after"]) > 0, error.response.headers
assert error.response.headers["x-ratelimit-remaining-requests"] == "0", error.response.headers
odd = '{"error":{"message":"no","type":"invalid_request_error","param":"top_p","code":"odd"}}'
script_next(status(422, odd), status(400, odd))
refused(openai.UnprocessableEntityError, 422, "odd", ask)
error = refused(openai.BadRequestError, 400, "odd", lambda: ask(stream=True))
assert error.param == "top_p", error

# The provider's own trouble: an APIStatusError of 5xx, whatever form it has.
for script, number, code in [
    (status(500, "<html>"), 502, "upstream_failed"),
    (status(503, '[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]'), 502, "upstream_failed"),
    (status(401, odd), 502, "upstream_unavailable"),
    ({"answer": "hang"}, 504, "upstream_timeout"),
]:
    for stream in [False, True]:
        script_next(script)
        refused(openai.InternalServerError, number, code, lambda: ask(stream=stream))

# The SDK tries again, after the pause that it is asked to make, and gives up in time.
patient = client(max_retries=2)
count = len(seen())
script_next(status(429, retry_after="1"))
begin = time.monotonic()
assert ask(patient).choices[0].message.content == ANSWER
assert time.monotonic() - begin >= 1 and len(seen()) == count + 2
script_next(status(500), status(502))
assert ask(patient, stream=True).response.status_code == 200
assert len(seen()) == count + 5
script_next(status(500), status(500), status(500))
refused(openai.InternalServerError, 502, "upstream_failed", lambda: ask(patient))
assert len(seen()) == count + 8
refused(openai.BadRequestError, 400, "invalid_request", lambda: ask(patient, n=99))
assert len(seen()) == count + 8, "a mistake is not tried again"

# The caller's own limit of time.
script_next({"wait_ms": 1000})
try:
    ask(client(timeout=0.2))
except openai.APITimeoutError:
    pass
else:
    raise AssertionError("a limit of time was expected to end the call")

# A stream that breaks raises, and never looks complete.
for ending in [{"error_after": 3}, {"close_after": 3}, {"garbage_after": 3}]:
    words = ""
    try:
        for chunk in ask(stream=True, extra_body={"x_script": {"output": 9, "ending": ending}}):
            words += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        assert words == " w0 w1 w2", words
        assert error.code == "upstream_failed", error.code
    else:
        raise AssertionError(f"{ending}: a stream that breaks raises")
print("the Python SDK is content with errors")
