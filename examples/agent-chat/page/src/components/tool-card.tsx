/** A tool call: one line, and its arguments and result on demand. */
import type { ToolPart } from "agentwire/conversation";
import { memo, type ReactNode, useId, useState } from "react";
import type { Beside } from "../runs.ts";
import { resultWords, span, toolState } from "../words.ts";
import { CopyButton } from "./code-block.tsx";
import { Icon, type IconName } from "./icons.tsx";
import { Inline } from "./markdown.tsx";

const ICONS: Readonly<Record<ToolPart["state"], IconName | undefined>> = {
	pending: undefined,
	running: undefined,
	completed: "check",
	failed: "alert",
	orphaned: "orphan",
};

export interface ToolCardProps {
	readonly tool: ToolPart;
	/** It ran at the same time as its neighbours. */
	readonly beside: Beside | undefined;
}

export const ToolCard = memo(function ToolCard({ tool, beside }: ToolCardProps): ReactNode {
	const [open, setOpen] = useState(false);
	const body = useId();
	const { state, toolName, purpose, durationMs } = tool;
	const icon = ICONS[state];
	const words = resultWords(tool);
	return (
		<div className="tool" data-testid="tool" data-state={state} data-beside={beside}>
			<button type="button" className="row" aria-expanded={open} aria-controls={body} onClick={() => setOpen(!open)}>
				<span className="mark">{icon === undefined ? <span className="spinner" /> : <Icon name={icon} size={16} />}</span>
				<span className="name">{toolName ?? "tool"}</span>
				<span className="purpose">{purpose === undefined ? undefined : <Inline text={purpose} />}</span>
				<span className="facts">
					{state === "completed" ? <span className="sr-only">completed, </span> : <span className="state">{toolState(tool)}</span>}
					{state === "completed" && words !== undefined ? <span>{words}</span> : undefined}
					{durationMs === undefined ? undefined : <span className="time">{span(durationMs)}</span>}
				</span>
				<span className="turn">
					<Icon name="chevron" size={14} />
				</span>
			</button>
			{open ? (
				<div className="body" id={body}>
					<Value title="Arguments" value={tool.args ?? (tool.argsText === "" ? undefined : tool.argsText)} />
					{tool.error === undefined ? undefined : <Value title="Error" value={tool.error} />}
					{state === "running" || state === "pending" ? <p className="none">The result has not come yet.</p> : undefined}
					{state === "orphaned" ? <p className="none">The run ended before this call did. Its result is not known.</p> : undefined}
					{state === "completed" ? <Value title="Result" value={tool.result} /> : undefined}
				</div>
			) : undefined}
		</div>
	);
});

/** Longer values are shown in part; copying takes the whole. */
const MAX_SHOWN = 12_000;

function Value({ title, value }: { readonly title: string; readonly value: unknown }): ReactNode {
	if (value === undefined) return <p className="none">{title}: none</p>;
	const text = typeof value === "string" ? value : JSON.stringify(value, undefined, 2);
	return (
		<section aria-label={title}>
			<header>
				<p className="title">{title}</p>
				<CopyButton text={text} what={title.toLowerCase()} />
			</header>
			<pre tabIndex={0}>{text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n… ${text.length - MAX_SHOWN} more characters` : text}</pre>
		</section>
	);
}
