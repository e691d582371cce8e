// The official Node SDK: its own types of errors, tries again, limits of time, streams that break.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { ANSWER, HELLO, apiKey, baseURL, limitedKey, poorKey, scriptNext, seen, status } from "./stage.mjs";

const client = (options = {}) => new OpenAI({ baseURL, apiKey, maxRetries: 0, ...options });
const create = (more, who = client()) => who.chat.completions.create({ model: "per-token", messages: HELLO, ...more });

const refused = async (kind, number, code, call) => {
  await assert.rejects(call, (error) => {
    assert.equal(error.constructor, kind, error.constructor.name);
    assert.deepEqual([error.status, error.code], [number, code]);
    assert.ok(error.requestID, "an error carries the request's id");
    return true;
  });
};

await refused(OpenAI.AuthenticationError, 401, "invalid_api_key", () => create({}, client({ apiKey: "sk-wrong" })));
await refused(OpenAI.NotFoundError, 404, "model_not_found", () => create({ model: "gpt-9" }));
await refused(OpenAI.NotFoundError, 404, "model_not_found", () => client().models.retrieve("gpt-9"));
await refused(OpenAI.PermissionDeniedError, 403, "model_not_enabled", () => create({ model: "dead" }));
await refused(OpenAI.BadRequestError, 400, "invalid_request", () => create({ n: 99 }));
await refused(OpenAI.BadRequestError, 400, "unsupported_parameter", () => create({ web_search_options: {} }));
await refused(OpenAI.APIError, 402, "insufficient_quota", () => create({}, client({ apiKey: poorKey })));
const limited = client({ apiKey: limitedKey });
await create({}, limited);
await refused(OpenAI.RateLimitError, 429, "rate_limited", () => create({}, limited));
for (const [script, number, code] of [
  [status(500, "<html>"), 502, "upstream_failed"],
  [{ answer: "hang" }, 504, "upstream_timeout"],
]) {
  for (const stream of [false, true]) {
    await scriptNext(script);
    await refused(OpenAI.InternalServerError, number, code, () => create({ stream }));
  }
}

// The SDK tries again, after the pause that it is asked to make, and gives up in time.
const patient = client({ maxRetries: 2 });
const before = (await seen()).length;
const begin = performance.now();
await scriptNext(status(429, "{}", { "retry-after": "1" }));
assert.equal((await create({}, patient)).choices[0].message.content, ANSWER);
assert.ok(performance.now() - begin >= 1000 && (await seen()).length === before + 2);
await scriptNext(status(500), status(502), status(500));
await refused(OpenAI.InternalServerError, 502, "upstream_failed", () => create({ stream: true }, patient));
assert.equal((await seen()).length, before + 5);

// The caller's own limit of time, and its change of mind.
await scriptNext({ wait_ms: 1000 }, { wait_ms: 1000 });
await assert.rejects(create({}, client({ timeout: 200 })), OpenAI.APIConnectionTimeoutError);
const signal = AbortSignal.timeout(200);
const never = client().chat.completions.create({ model: "per-token", messages: HELLO }, { signal });
await assert.rejects(never, OpenAI.APIUserAbortError);

// A stream that breaks raises, and never looks complete.
for (const ending of [{ error_after: 3 }, { close_after: 3 }, { garbage_after: 3 }]) {
  let text = "";
  await assert.rejects(async () => {
    const stream = await create({ stream: true, x_script: { output: 9, ending } });
    for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  }, (error) => error instanceof OpenAI.APIError && error.code === "upstream_failed");
  assert.equal(text, " w0 w1 w2");
}

console.log("the Node SDK is content with errors");
