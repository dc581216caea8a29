import { useThread } from "agentwire/react";
import type { ReactNode } from "react";
import { useComposer } from "./composer.tsx";
import { Icon, type IconName } from "./icons.tsx";

const EXAMPLES: readonly { readonly icon: IconName; readonly text: string; readonly hint: string }[] = [
	{ icon: "search", text: "Which files mention backoff, and how often?", hint: "Counts in every file and quotes some lines" },
	{ icon: "wire", text: "Give me a tour of this project", hint: "A sub-agent for each folder, several hundred events" },
	{ icon: "repeat", text: "Compare replay and resume", hint: "Two searches side by side" },
	{ icon: "hand", text: "Ask me before you search for backoff", hint: "Waits for you; you may change what is searched" },
];

/** What a newcomer sees first. */
export function EmptyState(): ReactNode {
	const { send } = useThread();
	const composer = useComposer();
	return (
		<section className="empty" data-testid="empty">
			<span className="empty-mark">
				<Icon name="wire" size={30} />
			</span>
			<h2>Ask about this project</h2>
			<p>
				An agent on your machine searches the files and answers while you watch. Then break the connection, and see what is <em>not</em> lost.
			</p>
			<ul className="examples">
				{EXAMPLES.map(({ icon, text, hint }) => (
					<li key={text}>
						<button
							type="button"
							data-testid="example"
							onClick={() => {
								send(text);
								// This button goes away with the first question.
								composer.current?.focus();
							}}
						>
							<Icon name={icon} />
							<span>
								<strong>{text}</strong>
								<small>{hint}</small>
							</span>
						</button>
					</li>
				))}
			</ul>
		</section>
	);
}
