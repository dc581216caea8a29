// A page that prints the events of one thread, and sends what is typed.
import { createClient } from "agentwire";

const form = document.querySelector("#form");
const text = /** @type {HTMLInputElement} */ (document.querySelector("#text"));
const state = document.querySelector("#state");
const events = document.querySelector("#events");

const client = createClient({ url: "/ws", token: () => "ada" });
const thread = client.thread("quick-start");

client.on("state", ({ to }) => {
	state.textContent = to;
});
thread.onEvent((event, { offset, delivery }) => events.append(`${offset} ${delivery} ${JSON.stringify(event)}\n`));
thread.onGap(({ from, to, reason }) => events.append(`${from} to ${to} never come: ${reason}\n`));
thread.onResumed(({ replayed }) => events.append(`caught up: ${replayed} events\n`));

form.addEventListener("submit", (submit) => {
	submit.preventDefault();
	thread.send({ content: text.value });
	text.value = "";
});
