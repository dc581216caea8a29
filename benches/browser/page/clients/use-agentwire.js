/** The three ways to read a thread: handlers per type, batches, an iterator. */
import { TYPES } from "../../shared/events.js";
import { address, begin, report, take, use } from "../harness.js";

export function run(createClient) {
	begin(() => {
		const client = createClient({ url: address.path("agentwire"), token: () => "token" });
		client.on("error", report);
		const thread = client.thread("bench");
		if (use === "batch") {
			thread.onBatch((events) => {
				for (const event of events) take(event);
			});
		} else if (use === "iterator") {
			void iterate(thread);
		} else {
			for (const type of TYPES) thread.on(type, take);
		}
	});
}

async function iterate(thread) {
	for await (const item of thread.events()) if (item.kind === "event") take(item.event);
}
