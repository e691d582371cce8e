// LangChain for JavaScript over the gateway: invoke, stream, tools, structured output, vectors.
import assert from "node:assert/strict";
import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { ANSWER, apiKey, baseURL } from "./stage.mjs";

const configuration = { baseURL };
const chat = (more = {}) => new ChatOpenAI({ model: "per-token", apiKey, configuration, maxRetries: 0, ...more });
const model = chat();

const answer = await model.invoke([new SystemMessage("Be brief."), new HumanMessage("hello")]);
assert.equal(answer.content, ANSWER);
assert.deepEqual([answer.usage_metadata.input_tokens, answer.usage_metadata.output_tokens], [10, 5]);
let whole;
for await (const chunk of await model.stream("hello")) whole = whole ? whole.concat(chunk) : chunk;
assert.equal(whole.content, ANSWER);
assert.equal(whole.usage_metadata.total_tokens, 15);

const schema = z.object({ city: z.string() });
const weather = tool(({ city }) => `fine in ${city}`, { name: "get_weather", description: "For tests.", schema });
const able = model.bindTools([weather]);
const question = new HumanMessage("Use get_weather.");
const asked = await able.invoke([question]);
assert.deepEqual(asked.tool_calls.map((call) => [call.name, call.args]), [["get_weather", { city: "w0" }]]);
const result = await weather.invoke(asked.tool_calls[0]);
assert.ok(result instanceof ToolMessage);
assert.equal((await able.invoke([question, asked, result])).content, ANSWER);
for (const method of ["jsonSchema", "functionCalling"]) {
  assert.deepEqual(await model.withStructuredOutput(schema, { method, name: "place" }).invoke("Where?"), { city: "w0" });
}

const embeddings = new OpenAIEmbeddings({ model: "vectors", apiKey, configuration, maxRetries: 0 });
assert.deepEqual(await embeddings.embedDocuments(["a", "b"]), [[0.5, -1, 0], [0.5, -1, 1]]);
await assert.rejects(chat({ model: "gpt-9" }).invoke("hello"), (error) => error.status === 404);

console.log("LangChain for JavaScript is content");
