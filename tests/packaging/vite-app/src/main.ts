import { createClient } from "agentwire";

// biome-ignore lint/style/noNonNullAssertion: index.html has both
const [events, answer] = [document.querySelector("#events")!, document.querySelector("#answer")!];
const { server = "", thread: name = "" } = Object.fromEntries(new URLSearchParams(location.search));
const token = async (): Promise<string> => (await fetch("/token", { method: "POST" })).text();

const client = createClient({ url: server, token });
const thread = client.thread(name, { from: "start" });
thread.on("message_delta", (event) => answer.append(event.text));
thread.onEvent((event, { offset }) => void (events.textContent = `${offset} events, last ${event.type}`));
await thread.send({ content: "Which files mention backoff, and how often?" }).receipt;
