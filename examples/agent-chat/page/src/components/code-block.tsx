import { type ReactNode, useEffect, useState } from "react";
import { Icon } from "./icons.tsx";

/** Code with its language and a button that copies it. */
export function CodeBlock({ text, language }: { readonly text: string; readonly language: string | undefined }): ReactNode {
	return (
		<figure className="code">
			<figcaption>
				<span>{language ?? "text"}</span>
				<CopyButton text={text} what="code" />
			</figcaption>
			<pre tabIndex={0}>
				<code>{text}</code>
			</pre>
		</figure>
	);
}

const SAID_MS = 1_600;

export function CopyButton({ text, what }: { readonly text: string; readonly what: string }): ReactNode {
	const [said, setSaid] = useState<"copied" | "failed">();
	useEffect(() => {
		if (said === undefined) return undefined;
		const timer = setTimeout(() => setSaid(undefined), SAID_MS);
		return () => clearTimeout(timer);
	}, [said]);
	const copy = (): void => {
		// Absent on pages that are not served securely.
		const done = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
		done.then(
			() => setSaid("copied"),
			() => setSaid("failed"),
		);
	};
	return (
		<button type="button" className="quiet small" onClick={copy} aria-label={`Copy ${what}`}>
			<Icon name={said === "copied" ? "check" : "copy"} size={15} />
			<span aria-live="polite">{said === "copied" ? "Copied" : said === "failed" ? "Not allowed" : "Copy"}</span>
		</button>
	);
}
