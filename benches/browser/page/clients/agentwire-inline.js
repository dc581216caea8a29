import "../start.js";
import { createClient } from "agentwire/inline";
import { run } from "./use-agentwire.js";

run(createClient);
