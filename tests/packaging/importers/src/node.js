// Plain Node.js: `node node.js agentwire`.
import { converse, report } from "./converse.js";

const { createClient } = await import(process.argv[2]);
report(await converse(createClient));
