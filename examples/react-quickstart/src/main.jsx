import { AgentwireProvider, AgentwireThread, useConnection, useMessages, useRun, useThread } from "agentwire/react";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

function Run({ runId }) {
	const run = useRun(runId);
	const text = run?.parts.map((part) => (part.kind === "message" ? part.text : "")).join("");
	return (
		<p className="run">
			{text} <small>{run?.status}</small>
		</p>
	);
}

function Messages() {
	const { items } = useMessages();
	return items.map((item) => {
		if (item.kind === "run") return <Run key={item.key} runId={item.runId} />;
		if (item.kind !== "user_message") return <hr key={item.key} />;
		return (
			<p key={item.key} className="mine">
				{item.content} <small>{item.sending?.state}</small>
			</p>
		);
	});
}

function Form() {
	const { send } = useThread();
	const state = useConnection((connection) => connection.state.name);
	const [text, setText] = useState("");
	const submit = (event) => {
		event.preventDefault();
		send(text);
		setText("");
	};
	return (
		<form onSubmit={submit}>
			<input aria-label="Say something" required value={text} onChange={(event) => setText(event.target.value)} />
			<button type="submit">Send</button>
			<output>{state}</output>
		</form>
	);
}

createRoot(document.querySelector("#app")).render(
	<StrictMode>
		<AgentwireProvider options={{ url: "/ws", token: () => "ada" }}>
			<AgentwireThread name="quick-start">
				<Messages />
				<Form />
			</AgentwireThread>
		</AgentwireProvider>
	</StrictMode>,
);
