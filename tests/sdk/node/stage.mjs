// What every suite needs: the gateway's address and keys, and the door of the scripted provider behind it.
import assert from "node:assert/strict";

export const { BASE_URL: baseURL, API_KEY: apiKey, POOR_API_KEY: poorKey, LIMITED_API_KEY: limitedKey } = process.env;
export const HELLO = [{ role: "user", content: "hello" }];
export const ANSWER = " w0 w1 w2 w3 w4";

const control = async (path, body) => {
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return (await fetch(`${process.env.UPSTREAM_URL}/control/${path}`, init)).json();
};

/** What the provider does with the next requests. */
export const scriptNext = (...scripts) => control("next", scripts);
/** Every request that reached the provider: `body`, and how its answer stands (`stage`, `output`). */
export const seen = () => control("seen");
/** The body of the last request that reached the provider. */
export const sent = async () => (await seen()).at(-1).body;
/** A script that answers with this status. */
export const status = (number, body = "{}", headers = {}) => ({
  answer: { verbatim: { status: number, headers: Object.entries(headers), body } },
});
/** Waits until the provider knows that the caller of its last request left. */
export const untilClientLeft = async () => {
  for (let tries = 0; tries < 500; tries += 1) {
    if ((await seen()).at(-1).stage === "ClientLeft") return;
  }
  assert.fail("the provider was not stopped");
};
