// The page of every bundler: it asks by itself, and shows what came of it.
export async function ask(createClient, options = {}) {
	const [events, answer, errors] = ["#events", "#answer", "#errors"].map((name) => document.querySelector(name));
	const { server, thread: name } = Object.fromEntries(new URLSearchParams(location.search));
	const token = async () => (await fetch("/token", { method: "POST" })).text();
	const client = createClient({ url: server, token, ...options });
	client.on("error", ({ code, retryable, message, remediation }) =>
		errors.append(`${JSON.stringify({ code, retryable, message, remediation, state: client.state.name })}\n`),
	);
	const thread = client.thread(name, { from: "start" });
	thread.on("message_delta", (event) => answer.append(event.text));
	thread.onEvent((event, { offset }) => void (events.textContent = `${offset} events, last ${event.type}`));
	thread.send({ content: "Which files mention backoff, and how often?" });
}
