// Checks the example against the vectors, opens what Rust sealed (in SEALED_BY_RUST), and seals
// something for Rust to open: one line of JSON.

import { readFileSync } from "node:fs";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { hex, keyId, open, random, seal, unhex, unwrap, wrap } from "./sealing.mjs";

function same(found, expected, what) {
  if (found !== expected) throw new Error(`${what}: ${found} is not ${expected}`);
}

const utf8 = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);

for (const vector of JSON.parse(readFileSync(process.env.VECTORS))) {
  const secret = unhex(vector.enclave_secret_key);
  const enclave = secp256k1.getPublicKey(secret, false);
  const creator = unhex(vector.creator);
  const key = unhex(vector.content_key);
  same(hex(enclave), vector.enclave_public_key, "enclave_public_key");
  same(hex(await keyId(enclave)), vector.key_id, "key_id");
  const wrapped = await wrap(key, enclave, creator, unhex(vector.ephemeral_secret_key));
  same(hex(wrapped), vector.wrapped_key, "wrapped_key");
  const sealed = await seal(utf8(vector.content), key, unhex(vector.nonce));
  same(hex(sealed), vector.sealed_content, "sealed_content");
  const opened = await unwrap(unhex(vector.wrapped_key), secret, creator);
  same(text(await open(unhex(vector.sealed_content), opened)), vector.content, "content");
}

const rust = JSON.parse(process.env.SEALED_BY_RUST);
const key = await unwrap(unhex(rust.wrapped_key), unhex(rust.enclave_secret_key), unhex(rust.creator));
same(text(await open(unhex(rust.sealed_content), key)), rust.content, "what Rust sealed");

const content = `sealed in JavaScript: ${hex(random(8))}`;
const contentKey = random(32);
const wrapped = await wrap(contentKey, unhex(rust.enclave_public_key), unhex(rust.creator));
const sealed = await seal(utf8(content), contentKey);
console.log(JSON.stringify({ content, wrapped_key: hex(wrapped), sealed_content: hex(sealed) }));
