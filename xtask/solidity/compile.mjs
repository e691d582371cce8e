// Compiles every Solidity file below the folder given as the only argument and prints one JSON object:
// { compiler, contracts: [{ sourceName, contractName, abi, bytecode, deployedBytecode }] }.
// The same sources give the same bytes every time: versions come from the lock file, sources are sorted, and no
// metadata hash is appended. `cargo xtask abi` runs this and writes the artifacts.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const solc = createRequire(import.meta.url)("solc");
const modules = path.join(path.dirname(fileURLToPath(import.meta.url)), "node_modules");
const root = process.argv[2];

const names = fs
  .readdirSync(root, { recursive: true })
  .map((name) => name.split(path.sep).join("/"))
  .filter((name) => name.endsWith(".sol"))
  .sort();
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: fs.readFileSync(path.join(root, name), "utf8") }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    viaIR: true,
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};

const readImport = (name) => {
  const file = path.join(modules, name);
  return fs.existsSync(file) ? { contents: fs.readFileSync(file, "utf8") } : { error: `no such package file: ${name}` };
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));

// Warnings about our own files count as errors; those about packages are their authors' business.
const problems = (output.errors ?? []).filter(
  ({ severity, sourceLocation }) => severity === "error" || (sourceLocation && sourceLocation.file in input.sources),
);
problems.forEach((problem) => process.stderr.write(`${problem.formattedMessage}\n`));
if (problems.length > 0) process.exit(1);

const contracts = names.flatMap((sourceName) =>
  Object.entries(output.contracts[sourceName] ?? {})
    // Neither abstract contracts and interfaces nor libraries that only exist inside others.
    .filter(([, contract]) => contract.evm.bytecode.object !== "" && contract.abi.length > 0)
    .map(([contractName, contract]) => ({
      sourceName,
      contractName,
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    })),
);

// A plain write to a pipe may stop at 64 KiB when the process exits.
const text = Buffer.from(JSON.stringify({ compiler: solc.version(), contracts }));
for (let written = 0; written < text.length; ) {
  try {
    written += fs.writeSync(1, text, written);
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
  }
}
