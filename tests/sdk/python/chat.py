"""The official Python SDK: models, answers, streams, parameters, roles, pictures, vectors."""

import asyncio
import base64
import struct

import openai
import pydantic
from stage import ANSWER, BASE_URL, HELLO, KEY, client, seen, sent

sdk = client()
create = sdk.chat.completions.create


def text(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


# Models: listed (the SDK pages), retrieved.
models = list(sdk.models.list())
names = [model.id for model in models]
assert "per-token" in names and "inactive" not in names, names
assert all(model.object == "model" and model.owned_by and model.created >= 0 for model in models)
for name in ["per-token", "open/sighted"]:
    assert sdk.models.retrieve(name).id == name

# A document, with fields that the SDK does not know.
answer = create(model="per-token", messages=HELLO)
assert answer.object == "chat.completion" and answer.id and answer.created > 0
assert answer.choices[0].message.content == ANSWER, answer
assert answer.choices[0].finish_reason == "stop"
assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (10, 5, 15)
assert answer.usage.prompt_tokens_details.cached_tokens == 0
assert answer.usage.completion_tokens_details.reasoning_tokens == 0
assert answer.usage.model_extra["total_cost"] == 25_000_000_000_000
assert answer.model_extra["x_unknown_field"] == {"kept": True}
raw = sdk.chat.completions.with_raw_response.create(model="sandbox", messages=HELLO)
assert raw.headers["x-haithe-call"] and raw.parse().choices

# A stream, with and without usage.
chunks = list(create(model="per-token", messages=HELLO, stream=True))
assert text(chunks) == ANSWER
assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
assert all(chunk.usage is None for chunk in chunks)
chunks = list(create(model="per-token", messages=HELLO, stream=True, stream_options={"include_usage": True}))
assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 5
assert chunks[-1].usage.model_extra["total_cost"] == 25_000_000_000_000
with sdk.chat.completions.stream(model="sandbox", messages=HELLO) as stream:
    final = stream.get_final_completion()
assert "sandbox" in final.choices[0].message.content.lower()

# A stream that the caller closes: the provider stops.
with create(model="per-token", messages=HELLO, stream=True, extra_body={"x_script": {"output": 900, "pace_ms": 5}}) as stream:
    next(iter(stream))
count = len(seen())
for _ in range(500):
    last = seen()[count - 1]
    if last["stage"] == "ClientLeft":
        break
assert last["stage"] == "ClientLeft" and last["output"] < 900, last

# Bounds and choices: both names of the bound, one after the other.
for bound in [{"max_tokens": 2}, {"max_completion_tokens": 2}]:
    answer = create(model="per-token", messages=HELLO, n=2, **bound)
    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"], bound
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert sent()["max_tokens"] == 2 and "max_completion_tokens" not in sent(), sent()
chunks = list(create(model="per-token", messages=HELLO, n=3, stream=True))
for index in range(3):
    of_choice = [c for chunk in chunks for c in chunk.choices if c.index == index]
    assert "".join(c.delta.content or "" for c in of_choice) == ANSWER

# Stop sequences, seeds, log probabilities.
assert create(model="per-token", messages=HELLO, stop="w3").choices[0].message.content == " w0 w1 w2"
assert create(model="per-token", messages=HELLO, stop=["w9", "w1"]).choices[0].message.content == " w0"
assert text(create(model="per-token", messages=HELLO, stop=["w2"], stream=True)) == " w0 w1"
assert create(model="per-token", messages=HELLO, seed=7).system_fingerprint == "fp_7"
answer = create(model="per-token", messages=HELLO, logprobs=True, top_logprobs=1)
tokens = answer.choices[0].logprobs.content
assert [token.token for token in tokens] == [" w0", " w1", " w2", " w3", " w4"]
assert tokens[0].logprob == -0.25 and tokens[0].top_logprobs[0].token == " w0"
chunks = list(create(model="per-token", messages=HELLO, logprobs=True, top_logprobs=1, stream=True))
assert "".join(c.token for chunk in chunks for choice in chunk.choices if choice.logprobs for c in choice.logprobs.content) == ANSWER

# Every sampling parameter arrives as it was given.
given = {
    "temperature": 0.2, "top_p": 0.9, "presence_penalty": -0.5, "frequency_penalty": 0.5, "logit_bias": {"42": -100},
    "reasoning_effort": "low", "verbosity": "low", "user": "somebody", "seed": 11, "safety_identifier": "a", "metadata": {"a": "b"},
}
create(model="per-token", messages=HELLO, **given)
assert {name: sent()[name] for name in given} == given

# Roles and names; content as parts; pictures.
pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
messages = [
    {"role": "developer", "content": "Be brief."},
    {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "name": "ada", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": pixel, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]},
    {"role": "assistant", "content": "A pixel.", "refusal": None},
    {"role": "user", "content": "And now?"},
]
for options in [{}, {"stream": True}]:
    answer = create(model="open/sighted", messages=messages, **options)
    words = text(answer) if options else answer.choices[0].message.content
    assert words == ANSWER
    assert sent()["messages"] == messages


# A schema: the SDK's own helpers parse the answer.
class Place(pydantic.BaseModel):
    name: str
    population: int
    tags: list[str]


class Trip(pydantic.BaseModel):
    start: Place
    nights: int | None


trip = sdk.chat.completions.parse(model="per-token", messages=HELLO, response_format=Trip).choices[0].message.parsed
assert trip == Trip(start=Place(name="w0", population=1, tags=["w0"]), nights=1), trip
assert sent()["response_format"]["json_schema"]["strict"] is True
with sdk.chat.completions.stream(model="per-token", messages=HELLO, response_format=Trip) as stream:
    kinds = {event.type for event in stream}
    assert stream.get_final_completion().choices[0].message.parsed == trip
assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
answer = create(model="per-token", messages=HELLO, response_format={"type": "json_object"})
assert answer.choices[0].message.content == '{"w0":1}'

# Embeddings; the SDK asks for base64 by itself.
vectors = sdk.embeddings.create(model="vectors", input=["a", "b"])
assert [list(item.embedding) for item in vectors.data] == [[0.5, -1.0, 0.0], [0.5, -1.0, 1.0]], vectors
assert [item.index for item in vectors.data] == [0, 1]
assert vectors.usage.prompt_tokens == 10 and vectors.usage.model_extra["total_cost"] == 10_000_000_000_000
floats = sdk.embeddings.create(model="vectors", input=[1, 2, 3], encoding_format="float")
assert floats.data[0].embedding == [0.5, -1.0, 0.0]
many = sdk.embeddings.create(model="vectors", input=[[1, 2], [3]], encoding_format="base64", dimensions=3)
assert struct.unpack("<3f", base64.b64decode(many.data[1].embedding)) == (0.5, -1.0, 1.0)
assert sent()["dimensions"] == 3
assert len(sdk.embeddings.create(model="vectors", input=["x"] * 100).data) == 100


# Many at once.
async def many_at_once():
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as caller:
        calls = [caller.chat.completions.create(model="per-call", messages=HELLO) for _ in range(16)]
        documents = await asyncio.gather(*calls)
        stream = await caller.chat.completions.create(model="per-token", messages=HELLO, stream=True)
        return documents, [chunk async for chunk in stream]


documents, chunks = asyncio.run(many_at_once())
assert len(documents) == 16 and text(chunks) == ANSWER
print("the Python SDK is content")
