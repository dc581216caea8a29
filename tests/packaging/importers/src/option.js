import { createClient } from "agentwire";
import { ask } from "./page.js";

void ask(createClient, { wasm: "/static/agentwire_bg.wasm" });
