import { createClient } from "agentwire";
import { conversation, runOf } from "agentwire/conversation";

const app = document.querySelector("#app");
app.innerHTML = `<div></div><form><input aria-label="Say something" required> <button type="submit">Send</button> <output></output></form>`;
const [list, form] = app.children;
const [input, , state] = form.children;

const client = createClient({ url: "/ws", token: () => "ada" });
const chat = conversation(client.thread("quick-start"));
/** What is shown for each item, and what was shown last. */
const shown = new Map();

function render() {
	const snapshot = chat.getSnapshot();
	const keys = new Set(snapshot.items.map(({ key }) => key));
	for (const [key, { element }] of shown) if (!keys.has(key)) shown.delete(key) && element.remove();
	snapshot.items.forEach((item, index) => {
		const run = item.kind === "run" ? runOf(snapshot.conversation, item.runId) : undefined;
		const entry = shown.get(item.key) ?? { element: document.createElement("p") };
		shown.set(item.key, entry);
		if (list.children[index] !== entry.element) list.insertBefore(entry.element, list.children[index] ?? null);
		// What has not changed is the same object.
		if (entry.item === item && entry.run === run) return;
		Object.assign(entry, { item, run });
		const text = run?.parts.map((part) => (part.kind === "message" ? part.text : "")).join("") ?? item.content ?? "…";
		const note = document.createElement("small");
		note.textContent = run?.status ?? item.sending?.state ?? "";
		entry.element.className = run === undefined ? "mine" : "run";
		entry.element.replaceChildren(`${text} `, note);
	});
}

chat.subscribe(render);
client.on("state", ({ to }) => {
	state.textContent = to;
});
form.addEventListener("submit", (event) => {
	event.preventDefault();
	chat.send(input.value);
	input.value = "";
});
