import { connect } from "agentwire";
import { ask } from "./page.js";

void ask(connect, { wasm: "/static/agentwire_bg.wasm" });
