import { connect } from "agentwire/inline";
import { ask } from "./page.js";

void ask(connect);
