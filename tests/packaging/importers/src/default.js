import { createClient } from "agentwire";
import { ask } from "./page.js";

void ask(createClient);
