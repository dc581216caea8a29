import type { ReactNode } from "react";
import { useSession } from "./hooks.ts";
import { Icon, type IconName } from "./icons.tsx";

const EXAMPLES: readonly { readonly icon: IconName; readonly text: string; readonly hint: string }[] = [
	{ icon: "search", text: "Which files mention backoff, and how often?", hint: "Counts in every file and quotes some lines" },
	{ icon: "wire", text: "Give me a tour of this project", hint: "A sub-agent for each folder, several hundred events" },
	{ icon: "repeat", text: "Compare replay and resume", hint: "Two searches side by side" },
	{ icon: "edit", text: "Summarise docs/PROTOCOL.md", hint: "Its outline and the words that stand out" },
];

/** What a newcomer sees first. */
export function EmptyState(): ReactNode {
	const session = useSession();
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
								session.ask(text);
								// This button goes away with the first question.
								document.getElementById("composer")?.focus();
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
