import "../start.js";
import { createClient } from "agentwire";
import { run } from "./use-agentwire.js";

run(createClient);
