import { createClient } from "agentwire/inline";
import { ask } from "./page.js";

void ask(createClient);
