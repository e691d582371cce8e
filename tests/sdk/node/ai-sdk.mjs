// The Vercel AI SDK over the gateway: text, streams, tools, objects, pictures, vectors, errors.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embed, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { ANSWER, apiKey, baseURL, poorKey, scriptNext, seen, sent, status, untilClientLeft } from "./stage.mjs";

const options = { name: "haithe", baseURL, includeUsage: true, supportsStructuredOutputs: true };
const haithe = createOpenAICompatible({ ...options, apiKey });
const model = haithe("per-token");

// Text, whole and streamed.
const text = await generateText({ model, system: "Be brief.", prompt: "hello", maxRetries: 0 });
assert.deepEqual([text.text, text.finishReason], [ANSWER, "stop"]);
assert.deepEqual([text.usage.inputTokens, text.usage.outputTokens, text.usage.totalTokens], [10, 5, 15]);
assert.deepEqual((await sent()).messages.map((message) => message.role), ["system", "user"]);
const streamed = streamText({ model, prompt: "hello", maxRetries: 0 });
let words = "";
for await (const part of streamed.textStream) words += part;
assert.equal(words, ANSWER);
assert.deepEqual([(await streamed.usage).outputTokens, await streamed.finishReason], [5, "stop"]);
const bounded = await generateText({ model, prompt: "hello", maxOutputTokens: 2, seed: 7, stopSequences: ["w4"] });
assert.deepEqual([bounded.text, bounded.finishReason], [" w0 w1", "length"]);

// Reasoning that a provider streams beside its answer.
await scriptNext(status(200, [
  { role: "assistant", reasoning_content: "Hm." }, { content: "Yes." },
].map((delta) => `data: ${JSON.stringify({ id: "r", object: "chat.completion.chunk", created: 1, model: "m",
  choices: [{ index: 0, delta, finish_reason: delta.content ? "stop" : null }] })}\n\n`).join("") + "data: [DONE]\n\n",
{ "content-type": "text/event-stream" }));
const thought = streamText({ model, prompt: "hello", maxRetries: 0 });
assert.deepEqual([await thought.text, await thought.reasoningText], ["Yes.", "Hm."]);

// Tools: both are called, their results go back, and the answer is in words.
const inputSchema = z.object({ city: z.string() });
const tools = Object.fromEntries(["get_weather", "get_time"].map((name) => [
  name, tool({ description: "For tests.", inputSchema, execute: async ({ city }) => `${name} of ${city}` }),
]));
const ask = { model, tools, prompt: "Use get_weather and get_time.", stopWhen: stepCountIs(3), maxRetries: 0 };
const done = await generateText(ask);
assert.equal(done.text, ANSWER);
assert.equal(done.steps.length, 2);
assert.deepEqual(done.steps[0].toolCalls.map((call) => [call.toolName, call.input]),
  [["get_weather", { city: "w0" }], ["get_time", { city: "w0" }]]);
assert.deepEqual((await sent()).messages.map((message) => message.role), ["user", "assistant", "tool", "tool"]);
const kinds = new Set();
const flow = streamText(ask);
for await (const part of flow.fullStream) kinds.add(part.type);
for (const kind of ["tool-input-delta", "tool-call", "tool-result", "text-delta", "finish"]) assert.ok(kinds.has(kind), kind);
assert.equal(await flow.text, ANSWER);
for (const toolChoice of ["required", { type: "tool", toolName: "get_weather" }]) {
  const forced = await generateText({ model, tools, toolChoice, prompt: "hello", maxRetries: 0 });
  assert.deepEqual(forced.toolCalls.map((call) => call.toolName), ["get_weather"]);
}
assert.equal((await generateText({ ...ask, toolChoice: "none" })).text, ANSWER);

// Objects.
const schema = z.object({ name: z.string(), size: z.number(), tags: z.array(z.string()) });
const expected = { name: "w0", size: 1, tags: ["w0"] };
assert.deepEqual((await generateObject({ model, schema, prompt: "hello", maxRetries: 0 })).object, expected);
assert.equal((await sent()).response_format.type, "json_schema");
const growing = streamObject({ model, schema, prompt: "hello", maxRetries: 0 });
let partials = 0;
for await (const _ of growing.partialObjectStream) partials += 1;
assert.deepEqual(await growing.object, expected);
assert.ok(partials > 1);

// Pictures.
const image = new URL("https://example.com/cat.png");
const content = [{ type: "text", text: "What?" }, { type: "image", image: "iVBORw0KGgo=", mediaType: "image/png" }];
const seeing = await generateText({ model: haithe("open/sighted"), messages: [{ role: "user", content }], maxRetries: 0 });
assert.equal(seeing.text, ANSWER);
assert.ok((await sent()).messages[0].content[1].image_url.url.startsWith("data:image/png;base64,"), image.href);

// Vectors.
const vectors = haithe.embeddingModel("vectors");
assert.deepEqual((await embed({ model: vectors, value: "a", maxRetries: 0 })).embedding, [0.5, -1, 0]);
const many = await embedMany({ model: vectors, values: ["a", "b"], maxRetries: 0 });
assert.deepEqual([many.embeddings, many.usage.tokens], [[[0.5, -1, 0], [0.5, -1, 1]], 10]);

// Errors: a status, whether to try again, our own words; and tries again.
const refused = async (number, retryable, call) => {
  await assert.rejects(call, (error) => {
    assert.ok(APICallError.isInstance(error), error);
    assert.deepEqual([error.statusCode, error.isRetryable], [number, retryable]);
    assert.equal(error.message, error.data.error.message, "the gateway's words reach the program");
    return true;
  });
};
const poor = createOpenAICompatible({ ...options, apiKey: poorKey });
const wrong = createOpenAICompatible({ ...options, apiKey: "sk-wrong" });
await refused(401, false, () => generateText({ model: wrong("per-token"), prompt: "hello", maxRetries: 0 }));
await refused(402, false, () => generateText({ model: poor("per-token"), prompt: "hello", maxRetries: 0 }));
await refused(404, false, () => generateText({ model: haithe("gpt-9"), prompt: "hello", maxRetries: 0 }));
await scriptNext(status(500));
await refused(502, true, () => generateText({ model, prompt: "hello", maxRetries: 0 }));
const before = (await seen()).length;
await scriptNext(status(429, "{}", { "retry-after": "1" }), status(500));
assert.equal((await generateText({ model, prompt: "hello", maxRetries: 2 })).text, ANSWER);
assert.equal((await seen()).length, before + 3);

// A stream that breaks says so; one that is aborted stops the provider.
await scriptNext({ output: 9, ending: { error_after: 3 } });
const broken = [];
for await (const part of streamText({ model, prompt: "hello", maxRetries: 0, onError: () => {} }).fullStream) broken.push(part);
assert.ok(broken.some((part) => part.type === "error"), JSON.stringify(broken));
await scriptNext({ output: 900, pace_ms: 5 });
const controller = new AbortController();
const long = streamText({ model, prompt: "hello", maxRetries: 0, abortSignal: controller.signal, onError: () => {} });
for await (const part of long.fullStream) if (part.type === "text-delta") controller.abort();
await untilClientLeft();

console.log("the AI SDK is content");
