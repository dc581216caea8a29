import "@fontsource-variable/inter/index.css";
import "@fontsource-variable/jetbrains-mono/index.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/conversation.css";
import "./styles/approval.css";
import "./styles/markdown.css";
import "./styles/truth.css";
import "./styles/faults.css";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { idInAddress } from "./page.tsx";
import { configure } from "./server.ts";
import { Session } from "./session.ts";

const element = document.getElementById("root");
if (element === null) throw new Error("the page has no element #root");
const root = createRoot(element);

/** Shown when the demo server does not answer the first question of the page. */
function Unreachable({ attempt }: { readonly attempt: number }) {
	return (
		<main className="unreachable" role="status">
			<h1>The demo server can’t be reached</h1>
			<p>
				Start it with <code>cargo xtask demo</code>. This page goes on by itself as soon as it answers.
			</p>
			<p className="none">Attempt {attempt}</p>
		</main>
	);
}

const config = await configure((attempt) => root.render(<Unreachable attempt={attempt} />));
root.render(<App session={new Session(config, idInAddress())} />);
