// The official Node SDK, given nothing but a base URL and a key.
import assert from "node:assert/strict";
import OpenAI from "openai";

const { BASE_URL: baseURL, API_KEY: apiKey, POOR_API_KEY } = process.env;
const messages = [{ role: "user", content: "hello" }];
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const create = (more, who = client) => who.chat.completions.create({ model: "per-token", messages, ...more });

const refused = async (kind, status, code, call) => {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof kind, error.constructor.name);
    assert.deepEqual([error.status, error.code], [status, code]);
    assert.ok(error.requestID, "an error carries the request's id");
    return true;
  });
};

const names = [];
for await (const model of client.models.list()) names.push(model.id);
assert.ok(names.includes("per-token"), names.join());

const answer = await create();
assert.equal(answer.choices[0].message.content, " w0 w1 w2 w3 w4");
assert.equal(answer.usage.total_cost, 25_000_000_000_000);
assert.deepEqual(answer.x_unknown_field, { kept: true });

let text = "";
for await (const chunk of await create({ stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
assert.equal(text, answer.choices[0].message.content);

const vectors = await client.embeddings.create({ model: "vectors", input: ["a", "b"] });
assert.deepEqual(Array.from(vectors.data[1].embedding), [0.5, -1, 1]);
assert.equal(vectors.usage.prompt_tokens, 10);

await refused(OpenAI.AuthenticationError, 401, "invalid_api_key", () =>
  create({}, new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 })),
);
await refused(OpenAI.NotFoundError, 404, "model_not_found", () => create({ model: "gpt-9" }));
await refused(OpenAI.PermissionDeniedError, 403, "model_not_enabled", () => create({ model: "dead" }));
await refused(OpenAI.APIError, 402, "insufficient_quota", () =>
  create({}, new OpenAI({ baseURL, apiKey: POOR_API_KEY, maxRetries: 0 })),
);

console.log("the Node SDK is content");
