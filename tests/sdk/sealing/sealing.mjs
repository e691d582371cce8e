// Sealing a product's content for Haithe, as docs/SEALING.md describes it, in any browser or Node:
// WebCrypto for AES-GCM, HKDF and SHA-256, @noble/curves for secp256k1, which WebCrypto lacks.
//
// A creator needs `seal` and `wrap` only. `unwrap` and `open` are what the enclave does.

import { secp256k1 } from "@noble/curves/secp256k1.js";

const { subtle } = globalThis.crypto;

const CONTENT_HEADER = [0x48, 0x53, 0x43, 1, 1, 0, 0, 0]; // "HSC", version 1, AES-256-GCM, reserved
const KEY_HEADER = [0x48, 0x57, 0x4b, 1]; // "HWK", version 1
const INFO = new TextEncoder().encode("haithe wrapped content key v1");

export const random = (length) => globalThis.crypto.getRandomValues(new Uint8Array(length));

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
  const digits = text.replace(/^0x/i, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error("not hexadecimal");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function gcm(direction, key, iv, additionalData, data) {
  const imported = await subtle.importKey("raw", key, "AES-GCM", false, [direction]);
  return new Uint8Array(await subtle[direction]({ name: "AES-GCM", iv, additionalData }, imported, data));
}

// The name of an enclave key: the first 8 bytes of the SHA-256 of its uncompressed point.
export async function keyId(enclavePublicKey) {
  return new Uint8Array(await subtle.digest("SHA-256", enclavePublicKey)).slice(0, 8);
}

// Key (32 bytes) and nonce (12 bytes) of one wrapping.
async function once(secretKey, peer, ephemeralPublicKey, enclavePublicKey) {
  const x = secp256k1.getSharedSecret(secretKey, peer, true).slice(1);
  const input = await subtle.importKey("raw", x, "HKDF", false, ["deriveBits"]);
  const salt = concat(ephemeralPublicKey, enclavePublicKey);
  const parameters = { name: "HKDF", hash: "SHA-256", salt, info: INFO };
  const output = new Uint8Array(await subtle.deriveBits(parameters, input, 44 * 8));
  return { key: output.slice(0, 32), nonce: output.slice(32) };
}

// Seals content under a key. The nonce must be new for this key.
export async function seal(content, contentKey, nonce = random(12)) {
  const header = concat(CONTENT_HEADER, nonce);
  return concat(header, await gcm("encrypt", contentKey, nonce, header, content));
}

// Wraps the content key: `tee_pubkey` of GET /api/v1/tee/pub-key, and the wallet that will publish.
export async function wrap(contentKey, enclavePublicKey, creator, ephemeral = secp256k1.utils.randomSecretKey()) {
  const point = secp256k1.getPublicKey(ephemeral, true);
  const { key, nonce } = await once(ephemeral, enclavePublicKey, point, enclavePublicKey);
  const header = concat(KEY_HEADER, await keyId(enclavePublicKey), point);
  return concat(header, await gcm("encrypt", key, nonce, concat(header, creator), contentKey));
}

// Opens what `wrap` made.
export async function unwrap(wrapped, enclaveSecretKey, creator) {
  const header = wrapped.slice(0, 45);
  const enclavePublicKey = secp256k1.getPublicKey(enclaveSecretKey, false);
  const point = header.slice(12);
  const { key, nonce } = await once(enclaveSecretKey, point, point, enclavePublicKey);
  return gcm("decrypt", key, nonce, concat(header, creator), wrapped.slice(45));
}

// Opens what `seal` made.
export async function open(sealed, contentKey) {
  const header = sealed.slice(0, 20);
  return gcm("decrypt", contentKey, header.slice(8), header, sealed.slice(20));
}
