"""The official Python SDK, given nothing but a base URL and a key."""

import asyncio
import os

import openai

BASE_URL, KEY = os.environ["BASE_URL"], os.environ["API_KEY"]
POOR_KEY = os.environ["POOR_API_KEY"]
HELLO = [{"role": "user", "content": "hello"}]

client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)


def refused(kind, status, code, call):
    try:
        call()
    except kind as error:
        assert type(error) is kind, type(error)
        assert error.status_code == status, error
        assert error.code == code, error.code
        assert error.request_id, "an error carries the request's id"
    else:
        raise AssertionError(f"{code} was expected")


# Models.
names = [model.id for model in client.models.list()]
assert "per-token" in names and "inactive" not in names, names
assert client.models.retrieve("per-token").id == "per-token"

# A document, with fields that the SDK does not know.
answer = client.chat.completions.create(model="per-token", messages=HELLO)
assert answer.choices[0].message.content == " w0 w1 w2 w3 w4", answer
assert answer.choices[0].finish_reason == "stop"
assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 5)
assert answer.usage.model_extra["total_cost"] == 25_000_000_000_000
assert answer.model_extra["x_unknown_field"] == {"kept": True}
raw = client.chat.completions.with_raw_response.create(model="sandbox", messages=HELLO)
assert raw.headers["x-haithe-call"] and raw.parse().choices

# A stream, with and without usage.
chunks = list(client.chat.completions.create(model="per-token", messages=HELLO, stream=True))
assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == " w0 w1 w2 w3 w4"
assert all(chunk.usage is None for chunk in chunks)
chunks = list(
    client.chat.completions.create(
        model="per-token", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
)
assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 5
with client.chat.completions.stream(model="sandbox", messages=HELLO) as stream:
    final = stream.get_final_completion()
assert "sandbox" in final.choices[0].message.content.lower()

# Embeddings; the SDK asks for base64 by itself.
vectors = client.embeddings.create(model="vectors", input=["a", "b"])
assert [list(item.embedding) for item in vectors.data] == [[0.5, -1.0, 0.0], [0.5, -1.0, 1.0]], vectors
assert vectors.usage.prompt_tokens == 10 and vectors.usage.model_extra["total_cost"] == 10_000_000_000_000
floats = client.embeddings.create(model="vectors", input=[1, 2, 3], encoding_format="float")
assert floats.data[0].embedding == [0.5, -1.0, 0.0]

# Parameters of the caller's.
answer = client.chat.completions.create(model="per-token", messages=HELLO, max_tokens=2, n=2)
assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]

# Errors have the SDK's own types.
create = client.chat.completions.create
wrong = openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
refused(openai.AuthenticationError, 401, "invalid_api_key", lambda: list(wrong.models.list()))
refused(openai.NotFoundError, 404, "model_not_found", lambda: create(model="gpt-9", messages=HELLO))
refused(openai.PermissionDeniedError, 403, "model_not_enabled", lambda: create(model="dead", messages=HELLO))
refused(openai.BadRequestError, 400, "invalid_request", lambda: create(model="per-token", messages=HELLO, n=99))
poor = openai.OpenAI(base_url=BASE_URL, api_key=POOR_KEY, max_retries=0)
refused(
    openai.APIStatusError,
    402,
    "insufficient_quota",
    lambda: poor.chat.completions.create(model="per-token", messages=HELLO),
)
limited = {"x_script": {"answer": {"verbatim": {"status": 429, "headers": [["retry-after", "3"]], "body": "{}"}}}}
try:
    create(model="per-token", messages=HELLO, extra_body=limited)
except openai.RateLimitError as error:
    assert error.response.headers["retry-after"] == "3"
broken = {"x_script": {"output": 9, "ending": {"error_after": 3}}}
try:
    list(create(model="per-token", messages=HELLO, stream=True, extra_body=broken))
except openai.APIError:
    pass
else:
    raise AssertionError("a stream that breaks raises")


# Many at once.
async def many():
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as many_client:
        calls = [many_client.chat.completions.create(model="per-call", messages=HELLO) for _ in range(16)]
        return await asyncio.gather(*calls)


assert len(asyncio.run(many())) == 16
print("the Python SDK is content")
