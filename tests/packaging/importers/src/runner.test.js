// The same in Vitest and in Jest, each in Node.js and in jsdom. Both have `test` and `expect` as globals here.
import * as util from "node:util";
import { converse, failure, report } from "./converse.js";

const { AGENTWIRE_TEST_ENTRY: entry, AGENTWIRE_TEST_WORLD: world } = process.env;

test("the package is imported, and gets every event of an answer", async () => {
	const { createClient } = await (entry === "inline" ? import("agentwire/inline") : import("agentwire"));
	expect(typeof globalThis.document).toBe(world === "jsdom" ? "object" : "undefined");
	if (typeof globalThis.TextDecoder !== "function") {
		const without = await failure(createClient);
		Object.assign(globalThis, { TextDecoder: util.TextDecoder, TextEncoder: util.TextEncoder });
		report({ without, ...(await converse(createClient)) });
	} else {
		report(await converse(createClient));
	}
}, 20_000);
