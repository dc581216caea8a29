// The same without a page: asks once and resolves with what came, as soon as the answer is complete.
import { createRequire } from "node:module";

const { AGENTWIRE_TEST_WS: url, AGENTWIRE_TEST_TOKEN: token, AGENTWIRE_TEST_THREAD: name } = process.env;

export async function converse(createClient) {
	const client = createClient({ url, token: () => token });
	try {
		return await new Promise((resolve, reject) => {
			const came = { events: 0, last: "", text: "" };
			client.on("error", reject);
			const thread = client.thread(name, { from: "start" });
			thread.on("message_delta", (event) => void (came.text += event.text));
			thread.onEvent((event, { offset }) => {
				came.events += 1;
				came.last = event.type;
				if (offset !== came.events) reject(new Error(`event ${offset} came as number ${came.events}`));
				if (event.type === "agent_completed") resolve(came);
			});
			thread.send({ content: "Which files mention backoff, and how often?" });
		});
	} finally {
		client.close();
	}
}

/** Resolves with the error that a client ends with. */
export async function failure(createClient) {
	const client = createClient({ url, token: () => token, logger: { error() {} } });
	return client.ready().then(
		() => {
			throw new Error("the client is connected");
		},
		({ code, retryable, message, remediation }) => ({ code, retryable, message, remediation, state: client.state.name }),
	);
}

/** Leaves `came` to the test that started this. By `require`, so that no runner puts another module in its place. */
export function report(came) {
	createRequire(import.meta.url)("node:fs").writeFileSync(process.env.AGENTWIRE_TEST_OUT, JSON.stringify(came));
}
