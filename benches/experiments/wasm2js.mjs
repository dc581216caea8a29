// Can the core run where WebAssembly is missing? binaryen's wasm2js turns a module into JavaScript; this tries it on ours.
//
// usage: cargo xtask build && node benches/experiments/wasm2js.mjs
//
// Result with binaryen 132: "modules with multiple tables are not supported yet". The module has two tables, one of functions and
// one of the host's values (reference types), and wasm-bindgen 0.2.130 needs both. So there is no `agentwire/fallback`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../", import.meta.url));
const out = join(mkdtempSync(join(tmpdir(), "agentwire-wasm2js-")), "core.js");
const made = spawnSync(join(root, "pkg/node_modules/.bin/wasm2js"), ["-Oz", join(root, "pkg/wasm/agentwire_bg.wasm"), "-o", out], { encoding: "utf8" });
if (made.status === 0) console.log(`wasm2js made ${statSync(out).size} bytes, ${gzipSync(readFileSync(out), { level: 9 }).length} of gzip: ${out}`);
else console.log(`wasm2js can't translate the module: ${(made.stderr || made.error?.message || "").trim()}`);
