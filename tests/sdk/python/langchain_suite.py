"""LangChain over the gateway: invoke, stream, batch, tools, structured output, pictures, vectors, errors."""

import asyncio

import openai
import pydantic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from stage import ANSWER, BASE_URL, KEY, sent


def chat(key=KEY, model="per-token", **options):
    return ChatOpenAI(base_url=BASE_URL, api_key=key, model=model, max_retries=0, **options)


model = chat()

# Invoked, streamed, in a batch, in a chain, awaited.
answer = model.invoke([SystemMessage("Be brief."), HumanMessage("hello")])
assert answer.content == ANSWER and answer.response_metadata["finish_reason"] == "stop"
assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (10, 5)
assert [message["role"] for message in sent()["messages"]] == ["system", "user"]
whole = None
for chunk in chat(stream_usage=True).stream("hello"):
    whole = chunk if whole is None else whole + chunk
assert whole.content == ANSWER and whole.usage_metadata["total_tokens"] == 15, whole
assert [answer.content for answer in model.batch(["a", "b", "c"])] == [ANSWER] * 3
chain = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("human", "{question}")]) | model | StrOutputParser()
assert chain.invoke({"how": "kind", "question": "why?"}) == ANSWER


async def awaited():
    pieces = [piece async for piece in chain.astream({"how": "kind", "question": "why?"})]
    return (await model.ainvoke("hello")).content, "".join(pieces)


assert asyncio.run(awaited()) == (ANSWER, ANSWER)
assert chat(max_tokens=2).invoke("hello").response_metadata["finish_reason"] == "length"
assert chat(stop_sequences=["w2"]).invoke("hello").content == " w0 w1"
logprobs = chat(logprobs=True, top_logprobs=1).invoke("hello").response_metadata["logprobs"]
assert len(logprobs["content"]) == 5


# Tools, and their results.
@tool
def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"fine in {city} for {days}"


@tool
def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


able = model.bind_tools([get_weather, get_time])
question = HumanMessage("Use get_weather and get_time.")
asked = able.invoke([question])
assert [call["name"] for call in asked.tool_calls] == ["get_weather", "get_time"]
assert asked.tool_calls[0]["args"] == {"city": "w0", "days": 1}
results = [get_weather.invoke(asked.tool_calls[0]), get_time.invoke(asked.tool_calls[1])]
assert all(isinstance(result, ToolMessage) for result in results)
final = able.invoke([question, asked, *results])
assert isinstance(final, AIMessage) and final.content == ANSWER and not final.tool_calls
joined = None
for chunk in able.stream([question]):
    joined = chunk if joined is None else joined + chunk
assert joined.tool_calls == asked.tool_calls, joined.tool_calls
forced = model.bind_tools([get_weather, get_time], tool_choice="get_time").invoke("hi")
assert [call["name"] for call in forced.tool_calls] == ["get_time"]
required = model.bind_tools([get_weather], tool_choice="required").invoke("hi")
assert [call["name"] for call in required.tool_calls] == ["get_weather"]


# Structured output by every method.
class Place(pydantic.BaseModel):
    """A place."""

    name: str
    population: int


for method in ["json_schema", "function_calling"]:
    place = model.with_structured_output(Place, method=method).invoke("Where?")
    assert place == Place(name="w0", population=1), (method, place)

# Pictures.
picture = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
assert chat(model="open/sighted").invoke([HumanMessage([{"type": "text", "text": "What?"}, picture])]).content == ANSWER
assert sent()["messages"][0]["content"][1] == picture

# Vectors.
embeddings = OpenAIEmbeddings(base_url=BASE_URL, api_key=KEY, model="vectors", check_embedding_ctx_length=False, max_retries=0)
assert embeddings.embed_query("a") == [0.5, -1.0, 0.0]
assert embeddings.embed_documents(["a", "b"]) == [[0.5, -1.0, 0.0], [0.5, -1.0, 1.0]]

# Errors are the SDK's own.
for kind, call in [
    (openai.AuthenticationError, lambda: chat("sk-wrong").invoke("hello")),
    (openai.NotFoundError, lambda: chat(model="gpt-9").invoke("hello")),
]:
    try:
        call()
    except kind:
        pass
    else:
        raise AssertionError(f"{kind} was expected")
print("LangChain is content")
