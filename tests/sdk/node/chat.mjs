// The official Node SDK: models, answers, streams, parameters, tools, schemas, vectors.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { ANSWER, HELLO, apiKey, baseURL, sent, untilClientLeft } from "./stage.mjs";

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const create = (more) => client.chat.completions.create({ model: "per-token", messages: HELLO, ...more });
const textOf = async (stream) => {
  let text = "";
  for await (const chunk of stream) for (const choice of chunk.choices) text += choice.delta?.content ?? "";
  return text;
};

// Models.
const names = [];
for await (const model of client.models.list()) names.push(model.id);
assert.ok(names.includes("per-token") && !names.includes("inactive"), names.join());
for (const name of ["per-token", "open/sighted"]) assert.equal((await client.models.retrieve(name)).id, name);

// Documents and streams.
const answer = await create();
assert.equal(answer.choices[0].message.content, ANSWER);
assert.equal(answer.usage.total_tokens, 15);
assert.equal(answer.usage.total_cost, 25_000_000_000_000);
assert.deepEqual(answer.x_unknown_field, { kept: true });
assert.ok(answer._request_id);
assert.equal(await textOf(await create({ stream: true })), ANSWER);
const chunks = [];
for await (const chunk of await create({ stream: true, stream_options: { include_usage: true } })) chunks.push(chunk);
assert.deepEqual([chunks.at(-1).choices, chunks.at(-1).usage.completion_tokens], [[], 5]);
const runner = client.chat.completions.stream({ model: "per-token", messages: HELLO });
assert.equal(await runner.finalContent(), ANSWER);

// A stream that the caller aborts: the provider stops.
const left = await create({ stream: true, x_script: { output: 900, pace_ms: 5 } });
for await (const _ of left) break;
await untilClientLeft();
const aborted = await create({ stream: true, x_script: { output: 900, pace_ms: 5 } });
await assert.rejects(async () => {
  for await (const _ of aborted) {
    aborted.controller.abort();
    throw new Error("left");
  }
}, /left/);
await untilClientLeft();

// Parameters.
for (const bound of [{ max_tokens: 2 }, { max_completion_tokens: 2 }]) {
  const { choices } = await create({ n: 2, ...bound });
  assert.deepEqual(choices.map((choice) => choice.finish_reason), ["length", "length"]);
}
assert.equal((await create({ stop: ["w3"] })).choices[0].message.content, " w0 w1 w2");
assert.equal((await create({ seed: 7 })).system_fingerprint, "fp_7");
assert.equal((await create({ logprobs: true, top_logprobs: 1 })).choices[0].logprobs.content.length, 5);
const messages = [
  { role: "developer", content: "Be brief." },
  { role: "user", content: [
    { type: "text", text: "What is this?" },
    { type: "image_url", image_url: { url: "https://example.com/cat.png", detail: "low" } },
  ] },
];
assert.equal((await create({ model: "open/sighted", messages })).choices[0].message.content, ANSWER);
assert.deepEqual((await sent()).messages, messages);

// Tools: both of them, streamed with deltas; and a schema, parsed by the SDK's helpers.
const parameters = z.object({ city: z.string(), days: z.number() });
const tools = ["get_weather", "get_time"].map((name) => zodFunction({ name, parameters }));
const ask = [{ role: "user", content: "Use get_weather and get_time." }];
const parsed = await client.chat.completions.parse({ model: "per-token", messages: ask, tools });
const calls = parsed.choices[0].message.tool_calls;
assert.deepEqual(calls.map((call) => call.function.name), ["get_weather", "get_time"]);
assert.deepEqual(calls[0].function.parsed_arguments, { city: "w0", days: 1 });
const streamed = await client.chat.completions.stream({ model: "per-token", messages: ask, tools }).finalMessage();
assert.deepEqual(streamed.tool_calls.map((call) => [call.id, call.function.arguments]),
  calls.map((call) => [call.id, call.function.arguments]));
for (const [options, expected] of [
  [{ tool_choice: "none" }, 0],
  [{ parallel_tool_calls: false }, 1],
  [{ tool_choice: { type: "function", function: { name: "get_time" } } }, 1],
  [{ tool_choice: "required", messages: HELLO }, 1],
]) {
  const { message } = (await create({ messages: ask, tools, ...options })).choices[0];
  assert.equal(message.tool_calls?.length ?? 0, expected, JSON.stringify(options));
}
const loop = client.chat.completions.runTools({
  model: "per-token",
  messages: ask,
  tools: [{ type: "function", function: {
    name: "get_weather", parse: JSON.parse, function: ({ city }) => `fine in ${city}`,
    parameters: { type: "object", properties: { city: { type: "string" } } },
  } }],
});
assert.equal(await loop.finalContent(), ANSWER, "the tool's result went back and was answered");
const Place = z.object({ name: z.string(), tags: z.array(z.string()) });
const place = await client.chat.completions.parse({
  model: "per-token", messages: HELLO, response_format: zodResponseFormat(Place, "place"),
});
assert.deepEqual(place.choices[0].message.parsed, { name: "w0", tags: ["w0"] });

// Embeddings.
const vectors = await client.embeddings.create({ model: "vectors", input: ["a", "b"] });
assert.deepEqual(Array.from(vectors.data[1].embedding), [0.5, -1, 1]);
assert.equal(vectors.usage.prompt_tokens, 10);
const floats = await client.embeddings.create({ model: "vectors", input: "a", encoding_format: "float" });
assert.deepEqual(floats.data[0].embedding, [0.5, -1, 0]);

console.log("the Node SDK is content");
