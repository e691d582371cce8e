"""The official Python SDK: tools, chosen freely, required, forced, one at a time and in parallel."""

import json

import openai
import pydantic
from stage import client, sent

sdk = client()
create = sdk.chat.completions.create


def tool(name):
    properties = {"city": {"type": "string"}, "days": {"type": "integer"}}
    parameters = {"type": "object", "properties": properties, "required": ["city", "days"]}
    return {"type": "function", "function": {"name": name, "description": "For tests.", "parameters": parameters}}


TOOLS = [tool("get_weather"), tool("get_time")]
BOTH = [{"role": "user", "content": "Use get_weather and get_time."}]
ARGUMENTS = {"city": "w0", "days": 1}


def called(messages, **options):
    """The names of the tools that are called, in a document and in a stream, whose deltas are joined."""
    options = {"tools": TOOLS, **options}
    choice = create(model="per-token", messages=messages, **options).choices[0]
    calls = choice.message.tool_calls or []
    assert all(json.loads(call.function.arguments) == ARGUMENTS for call in calls), calls
    assert len({call.id for call in calls}) == len(calls)
    joined, reason = {}, None
    for chunk in create(model="per-token", messages=messages, stream=True, **options):
        for part in chunk.choices:
            reason = part.finish_reason or reason
            for delta in part.delta.tool_calls or []:
                known = joined.setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "arguments": ""})
                known["arguments"] += delta.function.arguments or ""
    streamed = [joined[index] for index in sorted(joined)]
    assert [(call["id"], call["name"]) for call in streamed] == [(call.id, call.function.name) for call in calls]
    assert all(json.loads(call["arguments"]) == ARGUMENTS for call in streamed), streamed
    assert reason == choice.finish_reason, (reason, choice)
    return [call.function.name for call in calls], reason


assert called(BOTH) == (["get_weather", "get_time"], "tool_calls")
assert called(BOTH, tool_choice="auto") == (["get_weather", "get_time"], "tool_calls")
assert called(BOTH, parallel_tool_calls=False) == (["get_weather"], "tool_calls")
assert called([{"role": "user", "content": "hi"}]) == ([], "stop")
assert called([{"role": "user", "content": "hi"}], tool_choice="required") == (["get_weather"], "tool_calls")
assert called(BOTH, tool_choice="none") == ([], "stop")
forced = {"type": "function", "function": {"name": "get_time"}}
assert called([{"role": "user", "content": "hi"}], tool_choice=forced) == (["get_time"], "stop")
assert sent()["tool_choice"] == forced and sent()["tools"] == TOOLS

# The results go back, and the answer is in words.
first = create(model="per-token", messages=BOTH, tools=TOOLS).choices[0].message
results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in first.tool_calls]
history = [*BOTH, first.model_dump(exclude_none=True), *results]
second = create(model="per-token", messages=history, tools=TOOLS).choices[0]
assert second.finish_reason == "stop" and second.message.content.startswith(" w0")
assert [message["role"] for message in sent()["messages"]] == ["user", "assistant", "tool", "tool"]
assert sent()["messages"][2]["tool_call_id"] == "call_0"


# The SDK's helpers parse arguments into the caller's own type.
class GetWeather(pydantic.BaseModel):
    city: str
    days: int


ask = [{"role": "user", "content": "GetWeather, please"}]
helpers = {"model": "per-token", "messages": ask, "tools": [openai.pydantic_function_tool(GetWeather)]}
parsed = sdk.chat.completions.parse(**helpers).choices[0].message.tool_calls[0]
assert parsed.function.parsed_arguments == GetWeather(city="w0", days=1)
with sdk.chat.completions.stream(**helpers) as stream:
    kinds = [event.type for event in stream]
    message = stream.get_final_completion().choices[0].message
assert message.tool_calls[0].function.parsed_arguments == GetWeather(city="w0", days=1)
assert kinds.count("tool_calls.function.arguments.done") == 1
assert kinds.count("tool_calls.function.arguments.delta") > 1, "arguments come in pieces"
print("the Python SDK is content with tools")
